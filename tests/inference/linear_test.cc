// Do projections with a scale for each row multiply like the rows apart?
#include "inference/linear.h"

#include <gmock/gmock.h>

#include "common/half.h"
#include "quantization/encode.h"

namespace bitnet {
namespace {

constexpr std::int64_t rows = 8, cols = 256;

std::vector<std::byte> encoded(DataType type, ScalePer per, std::vector<float> scales) {
  std::vector<std::byte> bytes(encoded_bytes(type, rows, cols));
  ThreadPool pool(1);
  encode_ternary(type,
                 {"w",
                  rows,
                  cols,
                  {per, std::move(scales)},
                  [](std::int64_t row, std::uint8_t* codes) {
                    for (std::int64_t c = 0; c < cols; ++c) codes[c] = static_cast<std::uint8_t>((row + c) % 3);
                  }},
                 pool, bytes);
  return bytes;
}

Linear linear_of(DataType type, const std::vector<std::byte>& bytes, float scale) {
  ThreadPool pool(2);
  Linear linear;
  linear.add({"w", {type, {{rows, cols}}, bytes}, scale}, pool);
  return linear;
}

TEST(Linear, HasTheScaleOfEachRowOfIq2Bn) {
  const std::vector<float> scales = {1, 2, 3, 4, 5, 6, 7, 8.5f};
  for (const DataType type : {DataType::iq1_bn, DataType::iq2_bn, DataType::iq2_bn_r4}) {
    const Linear linear = linear_of(type, encoded(type, ScalePer::row, scales), 2.0f);
    ASSERT_TRUE(linear.parts().front().is_ternary);
    EXPECT_THAT(linear.parts().front().scales, testing::ElementsAre(2, 4, 6, 8, 10, 12, 14, 17));
  }
}

// Their models were not trained with int8 activations, however few the blocks of a row.
TEST(Linear, KeepsBlocksWithScalesOfTheirOwnDense) {
  for (const DataType type : {DataType::tq2_0, DataType::tq1_0}) {
    const Linear linear = linear_of(type, encoded(type, ScalePer::row, {1, 2, 3, 4, 5, 6, 7, 8}), 1.0f);
    EXPECT_FALSE(linear.parts().front().is_ternary);
    EXPECT_TRUE(linear.needs_float());
  }
  const Linear one = linear_of(DataType::pq2_0, encoded(DataType::pq2_0, ScalePer::tensor, {0.5f}), 1.0f);
  EXPECT_TRUE(one.parts().front().is_ternary);
}

}  // namespace
}  // namespace bitnet
