// Which tensors count as ternary, and the worked bytes of docs/formats.md.
#include "quantization/ternary.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>

#include "common/error.h"
#include "common/half.h"

namespace bitnet {
namespace {

// The one scale of a tensor that has one.
std::optional<float> ternary_scale(const TensorView& tensor, std::string_view name) {
  const auto scales = ternary_scales(tensor, name);
  if (!scales || scales->per != ScalePer::tensor) return std::nullopt;
  return scales->values.front();
}

std::vector<std::byte> i2_s_bytes(std::int64_t weights, float scale) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(weights / 4 + 32), std::byte{0x55});
  std::memcpy(bytes.data() + weights / 4, &scale, sizeof scale);
  return bytes;
}

template <class Value>
std::vector<std::byte> as_bytes(const std::vector<Value>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(Value));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

TEST(I2S, PutsTheFirstThirtyTwoWeightsInTheTopBits) {
  auto bytes = i2_s_bytes(128, 0.5f);
  bytes[0] = std::byte{0x86};
  const TensorView tensor{DataType::i2_s, {{1, 128}}, bytes};
  std::vector<std::uint8_t> codes(128);
  unpack_row(tensor, "w", 0, codes.data());
  EXPECT_EQ(codes[0], 2);
  EXPECT_EQ(codes[32], 0);
  EXPECT_EQ(codes[64], 1);
  EXPECT_EQ(codes[96], 2);
  EXPECT_EQ(codes[1], 1);
  EXPECT_EQ(ternary_scale(tensor, "w"), 0.5f);
}

TEST(I2S, BlocksRunAcrossRowEnds) {
  auto bytes = i2_s_bytes(4 * 96, 1.0f);
  bytes[0] = std::byte{0x56};  // weight 96 = row 1, column 0
  const TensorView tensor{DataType::i2_s, {{4, 96}}, bytes};
  std::vector<std::uint8_t> codes(96);
  unpack_row(tensor, "w", 1, codes.data());
  EXPECT_EQ(codes[0], 2);
  EXPECT_EQ(codes[1], 1);
}

TEST(I2S, RefusesCodeThreeAndABrokenScale) {
  auto bytes = i2_s_bytes(256, 1.0f);
  bytes[32 + 5] = std::byte{0x57};  // row 1: weight 96 + 5
  std::vector<std::uint8_t> codes(128);
  EXPECT_THAT(
      [&] { unpack_row({DataType::i2_s, {{2, 128}}, bytes}, "blk.0.attn_q.weight", 1, codes.data()); },
      testing::ThrowsMessage<Error>("tensor 'blk.0.attn_q.weight': row 1, column 101 has code 3, ternary codes are 0 to 2"));
  const auto broken = i2_s_bytes(128, NAN);
  EXPECT_THAT([&] { ternary_scale({DataType::i2_s, {{1, 128}}, broken}, "w"); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("not finite")));
}

TEST(TernaryScale, AcceptsFloatsOfOneMagnitudeOnly) {
  const auto ternary = as_bytes<float>({0.25f, 0.0f, -0.25f, 0.25f});
  EXPECT_EQ(ternary_scale({DataType::f32, {{2, 2}}, ternary}, "w"), 0.25f);
  const auto dense = as_bytes<float>({0.25f, 0.0f, -0.5f, 0.25f});
  EXPECT_EQ(ternary_scale({DataType::f32, {{2, 2}}, dense}, "w"), std::nullopt);
  const auto zero = as_bytes<float>({0, 0, 0, 0});
  EXPECT_EQ(ternary_scale({DataType::f32, {{2, 2}}, zero}, "w"), 0.0f);
  const auto half = as_bytes<std::uint16_t>({f32_to_f16(-1.0f), 0, f32_to_f16(1.0f), 0});
  EXPECT_EQ(ternary_scale({DataType::f16, {{2, 2}}, half}, "w"), 1.0f);
  std::vector<std::uint8_t> codes(2);
  unpack_row({DataType::f16, {{2, 2}}, half}, "w", 0, codes.data());
  EXPECT_THAT(codes, testing::ElementsAre(0, 1));
}

TEST(TernaryScale, IgnoresTheScaleOfZeroBlocksAndTellsRowsFromBlocks) {
  std::vector<std::byte> blocks(2 * 66);
  const std::uint16_t scale = f32_to_f16(0.75f), other = f32_to_f16(0.5f);
  std::memcpy(blocks.data() + 64, &scale, 2);
  const TensorView tensor{DataType::tq2_0, {{2, 256}}, blocks};
  EXPECT_EQ(ternary_scale(tensor, "w"), 0.75f);
  std::vector<std::uint8_t> codes(256);
  unpack_row(tensor, "w", 1, codes.data());
  EXPECT_THAT(codes, testing::Each(1));  // scale 0: zero weights whatever the codes say
  std::memcpy(blocks.data() + 66 + 64, &other, 2);
  EXPECT_EQ(ternary_scales(tensor, "w")->per, ScalePer::row);
  EXPECT_THAT(ternary_scales(tensor, "w")->values, testing::ElementsAre(0.75f, 0.5f));
  blocks.resize(4 * 66);
  std::memcpy(blocks.data() + 3 * 66 + 64, &scale, 2);
  const TensorView wide{DataType::tq2_0, {{2, 512}}, blocks};
  EXPECT_EQ(ternary_scales(wide, "w")->per, ScalePer::block256);
  EXPECT_THAT(ternary_scales(wide, "w")->values, testing::ElementsAre(0.75f, 0.5f, 0.0f, 0.75f));
  blocks[65] |= std::byte{0x80};
  EXPECT_EQ(ternary_scales(wide, "w"), std::nullopt) << "a negative scale";
}

TEST(TernaryScale, RefusesABrokenScaleOfARow) {
  std::vector<std::byte> rows(3 * (4 + 16));
  const float one = 1, broken = NAN, negative = -1;
  for (const std::size_t at : {0, 20, 40}) std::memcpy(rows.data() + at, &one, 4);
  const TensorView tensor{DataType::iq2_bn, {{3, 64}}, rows};
  EXPECT_EQ(ternary_scale(tensor, "w"), 1.0f);
  std::memcpy(rows.data() + 40, &broken, 4);
  EXPECT_THAT([&] { ternary_scales(tensor, "w"); }, testing::ThrowsMessage<Error>("tensor 'w': scale 2 of 3 is not finite"));
  std::memcpy(rows.data() + 40, &negative, 4);
  EXPECT_THAT([&] { ternary_scales(tensor, "w"); },
              testing::ThrowsMessage<Error>("tensor 'w': the scale of row 2 is -1, which is negative"));
}

// In Q2_0 it is +2, elsewhere nothing.
TEST(TernaryScale, CodeThreeMakesQ2_0Dense) {
  for (const auto& [type, bytes] :
       {std::pair(DataType::q2_0, 18), std::pair(DataType::q2_0_g128, 34), std::pair(DataType::pq2_0, 34)}) {
    std::vector<std::byte> block(static_cast<std::size_t>(bytes), std::byte{0x55});
    const std::uint16_t half = f32_to_f16(0.5f);
    std::memcpy(block.data(), &half, 2);
    const TensorView tensor{type, {{1, info(type).block}}, block};
    EXPECT_EQ(ternary_scale(tensor, "w"), 0.5f);
    block.back() = std::byte{0xd5};
    EXPECT_EQ(ternary_scales(tensor, "w"), std::nullopt);
  }
}

void expect_refused_row(const TensorView& tensor, std::int64_t row, const std::string& message) {
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(tensor.shape.cols()));
  EXPECT_THAT([&] { unpack_row(tensor, "w", row, codes.data()); }, testing::ThrowsMessage<Error>(message));
}

TEST(UnpackRow, NamesWhatIsNoTernaryCode) {
  std::vector<std::byte> rows(4 * (4 + 16), std::byte{0x55});
  rows[20 + 4 + 3] = std::byte{0xd5};  // of IQ2_BN row 1, column 48 + 3
  expect_refused_row({DataType::iq2_bn, {{4, 64}}, rows}, 1,
                     "tensor 'w': row 1, column 51 has code 3, ternary codes are 0 to 2");
  std::fill(rows.begin(), rows.end(), std::byte{0x55});
  rows[16 + 16 + 2 * 4 + 1] = std::byte{0x75};  // of IQ2_BN_R4 row 2, columns 17, 21, 25, 29
  expect_refused_row({DataType::iq2_bn_r4, {{4, 64}}, rows}, 2,
                     "tensor 'w': row 2, column 25 has code 3, ternary codes are 0 to 2");
}

TEST(UnpackRow, NamesAnIndexThatStandsForNoWeights) {
  std::vector<std::byte> tl1(16 * 16 / 4 + 32, std::byte{0x44});
  tl1[2 * 16 + 5] = std::byte{0x49};  // row 5, columns 8 to 11: the second pair
  expect_refused_row({DataType::tl1, {{16, 16}}, tl1, {16, 16, 16}}, 5,
                     "tensor 'w': row 5, column 10 lies in a group whose index stands for no weights");
  std::vector<std::byte> tl2(static_cast<std::size_t>(*data_bytes(DataType::tl2, 32 * 256, 256)));
  tl2[32 + 7] = std::byte{0xe0};  // row 7, columns 6 to 8
  expect_refused_row({DataType::tl2, {{32, 256}}, tl2, {32, 96, 32}}, 7,
                     "tensor 'w': row 7, column 6 lies in a group whose index stands for no weights");
}

TEST(TernaryScale, LeavesDenseBlockFormatsAlone) {
  const std::vector<std::byte> blocks(34);
  EXPECT_EQ(ternary_scales({DataType::q8_0, {{1, 32}}, blocks}, "w"), std::nullopt);
}

}  // namespace
}  // namespace bitnet
