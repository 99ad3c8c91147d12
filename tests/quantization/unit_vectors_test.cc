// The packed bytes of the numeric specification unpack to its codes and scale.
#include <gtest/gtest.h>

#include <fstream>

#include "quantization/ternary.h"
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

INSTANTIATE_TEST_SUITE_P(Oracle, PackedVectors,
                         testing::Values(Packed{DataType::i2_s, "i2s128", 128}, Packed{DataType::i2_s, "i2s384", 384},
                                         Packed{DataType::i2_s, "i2s768", 768}, Packed{DataType::tq1_0, "tq1_0768", 768},
                                         Packed{DataType::tq2_0, "tq2_0768", 768}),
                         [](const auto& tested) { return std::string(tested.param.array); });

}  // namespace
}  // namespace bitnet
