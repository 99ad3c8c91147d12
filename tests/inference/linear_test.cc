// What projections hold, and whether they multiply alike however they are shared out.
#include "inference/linear.h"

#include <gmock/gmock.h>

#include "common/half.h"
#include "kernels/dispatch.h"
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

// However the kernels like it cut, and however many threads share it.
TEST(Linear, MultipliesManyRowsByManyTokensAsScalarDoes) {
  constexpr std::int64_t many_rows = 2700, tokens = 90;
  std::vector<std::byte> bytes(encoded_bytes(DataType::iq2_bn, many_rows, cols));
  ThreadPool pool(3);
  std::vector<float> scales(many_rows);
  for (std::size_t r = 0; r < scales.size(); ++r) scales[r] = 1 + 0.25f * static_cast<float>(r % 9);
  const auto codes_of = [](std::int64_t row, std::uint8_t* codes) {
    for (std::int64_t c = 0; c < cols; ++c) codes[c] = static_cast<std::uint8_t>((row * 7 + c * c) % 3);
  };
  encode_ternary(DataType::iq2_bn, {"w", many_rows, cols, {ScalePer::row, scales}, codes_of}, pool, bytes);
  Linear linear;
  linear.add({"w", {DataType::iq2_bn, {{many_rows, cols}}, bytes}, 1.0f}, pool);
  std::vector<std::int8_t> q(tokens * cols);
  std::vector<float> x_scales(tokens);
  std::vector<std::int32_t> sums(tokens);
  for (std::size_t t = 0; t < tokens; ++t) {
    x_scales[t] = 1 + static_cast<float>(t);
    for (std::size_t c = 0; c < cols; ++c) {
      q[t * cols + c] = static_cast<std::int8_t>(static_cast<int>((t * 37 + c * 11) % 255) - 127);
      sums[t] += q[t * cols + c];
    }
  }
  const auto product = [&](const KernelTable& kernels, ThreadPool& threads) {
    Compute with(kernels, threads, cols, 1);
    std::vector<float> y(tokens * many_rows);
    multiply(linear, {nullptr, 0, {q.data(), x_scales.data(), sums.data(), tokens, cols}}, tokens, y.data(), many_rows, with);
    return y;
  };
  ThreadPool one(1);
  const std::vector<float> wanted = product(scalar_table(), one);
  for (const KernelTable* table : kernel_tables()) {
    EXPECT_EQ(product(*table, one), wanted) << table->name;
    EXPECT_EQ(product(*table, pool), wanted) << table->name;
  }
}

}  // namespace
}  // namespace bitnet
