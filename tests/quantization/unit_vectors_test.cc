// The packed bytes of the numeric specification unpack to its codes and scale, and those pack to the bytes.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "quantization/encode.h"
#include "support/npz.h"

namespace bitnet {
namespace {

const std::string unit_path = BITNET_SOURCE_DIR "/../shared/oracle/vectors/unit.npz";

struct Packed {
  DataType type;
  const char* array;
  std::int64_t cols;
};

class PackedVectors : public testing::TestWithParam<Packed> {};

TEST_P(PackedVectors, UnpackToTheCodes) {
  if (!std::ifstream(unit_path)) GTEST_SKIP() << "no oracle at " << unit_path;
  const test::Npz npz(unit_path);
  const auto [type, array, cols] = GetParam();
  const auto bytes = npz.get<std::byte>(array);
  const auto codes = npz.get<std::int8_t>("codes" + std::to_string(cols));
  const float scale = npz.get<float>("wscale" + std::to_string(cols))[0];
  const TensorView tensor{type, {{24, cols}}, bytes};
  const std::optional<TernaryScales> scales = ternary_scales(tensor, "w");
  ASSERT_TRUE(scales.has_value());
  ASSERT_EQ(scales->per, ScalePer::tensor);
  const float found = scales->values.front();
  if (type == DataType::i2_s) {
    EXPECT_EQ(found, scale);
  } else {
    EXPECT_NEAR(found, scale, scale * 0x1p-11f);  // the block scale is a half
  }
  std::vector<std::uint8_t> row(static_cast<std::size_t>(cols));
  for (std::int64_t r = 0; r < 24; ++r) {
    unpack_row(tensor, "w", r, row.data());
    for (std::int64_t c = 0; c < cols; ++c) {
      ASSERT_EQ(row[static_cast<std::size_t>(c)] - 1, codes[static_cast<std::size_t>(r * cols + c)]) << r << ", " << c;
    }
  }
}

TEST_P(PackedVectors, ArePackedFromTheCodes) {
  if (!std::ifstream(unit_path)) GTEST_SKIP() << "no oracle at " << unit_path;
  const test::Npz npz(unit_path);
  const auto [type, array, cols] = GetParam();
  auto expected = npz.get<std::byte>(array);
  const auto codes = npz.get<std::int8_t>("codes" + std::to_string(cols));
  TernaryRows weights;
  weights.name = "w", weights.rows = 24, weights.cols = cols;
  weights.scales.values = {npz.get<float>("wscale" + std::to_string(cols))[0]};
  weights.unpack = [&, width = cols](std::int64_t row, std::uint8_t* out) {
    for (std::int64_t c = 0; c < width; ++c)
      out[c] = static_cast<std::uint8_t>(codes[static_cast<std::size_t>(row * width + c)] + 1);
  };
  std::vector<std::byte> bytes(encoded_bytes(type, 24, cols));
  ThreadPool pool(2);
  encode_ternary(type, weights, pool, bytes);
  ASSERT_EQ(bytes.size(), expected.size());
  // Of I2_S the last 28 bytes have no meaning.
  if (type == DataType::i2_s) std::copy(bytes.end() - 28, bytes.end(), expected.end() - 28);
  // A block of zeros has the scale 0 there; here the tensor's, so that it is not lost.
  const auto block_bytes = static_cast<std::size_t>(info(type).block_bytes);
  for (std::size_t end = block_bytes; type != DataType::i2_s && end <= bytes.size(); end += block_bytes) {
    const std::byte* scale = expected.data() + end - 2;
    if (scale[0] == std::byte{0} && scale[1] == std::byte{0}) std::copy_n(scale, 2, bytes.data() + end - 2);
  }
  EXPECT_TRUE(bytes == expected);
}

INSTANTIATE_TEST_SUITE_P(Oracle, PackedVectors,
                         testing::Values(Packed{DataType::i2_s, "i2s128", 128}, Packed{DataType::i2_s, "i2s384", 384},
                                         Packed{DataType::i2_s, "i2s768", 768}, Packed{DataType::tq1_0, "tq1_0768", 768},
                                         Packed{DataType::tq2_0, "tq2_0768", 768}),
                         [](const auto& tested) { return std::string(tested.param.array); });

}  // namespace
}  // namespace bitnet
