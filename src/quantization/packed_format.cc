// The table of packed ternary formats.
#include "quantization/packed_format.h"

#include <cstring>

#include "common/half.h"

namespace bitnet {
namespace {

constexpr PackedFormat formats[] = {
    {DataType::i2_s, ScalePer::tensor, 0, false, false, TwoBits::unpack_i2_s, TwoBits::pack_i2_s},
    {DataType::tq1_0, ScalePer::block256, 52, true, false, BaseThree::unpack_tq1_0, BaseThree::pack_tq1_0},
    {DataType::tq2_0, ScalePer::block256, 64, true, false, TwoBits::unpack_tq2_0, TwoBits::pack_tq2_0},
    {DataType::iq1_bn, ScalePer::row, 0, true, false, BaseThree::unpack_iq1_bn, BaseThree::pack_iq1_bn},
    {DataType::iq2_bn, ScalePer::row, 0, false, false, TwoBits::unpack_iq2_bn, TwoBits::pack_iq2_bn},
    {DataType::iq2_bn_r4, ScalePer::row, 0, false, false, nullptr, nullptr},
    {DataType::q2_0, ScalePer::block64, 0, true, true, TwoBits::unpack_q2_0, TwoBits::pack_q2_0},
    {DataType::q2_0_g128, ScalePer::block128, 0, true, true, TwoBits::unpack_q2_0_g128, TwoBits::pack_q2_0_g128},
    {DataType::pq2_0, ScalePer::block128, 0, true, true, TwoBits::unpack_q2_0_g128, TwoBits::pack_q2_0_g128},
    {DataType::ptq1_0, ScalePer::block128, 26, true, false, BaseThree::unpack_ptq1_0, BaseThree::pack_ptq1_0},
    {DataType::tl1, ScalePer::tensor, 0, false, false, nullptr, nullptr},
    {DataType::tl2, ScalePer::tensor, 0, false, false, nullptr, nullptr},
};

}  // namespace

const PackedFormat* packed_format(DataType type) {
  for (const PackedFormat& format : formats) {
    if (format.type == type) return &format;
  }
  return nullptr;
}

float load_scale(const std::byte* p, bool half) {
  std::uint32_t bits = 0;
  for (int i = half ? 1 : 3; i >= 0; --i) bits = bits << 8 | std::to_integer<std::uint32_t>(p[i]);
  return half ? f16_to_f32(static_cast<std::uint16_t>(bits)) : __builtin_bit_cast(float, bits);
}

void store_scale(float scale, bool half, std::byte* p) {
  const std::uint32_t bits = half ? f32_to_f16(scale) : __builtin_bit_cast(std::uint32_t, scale);
  for (int i = 0; i < (half ? 2 : 4); ++i) p[i] = static_cast<std::byte>(bits >> (8 * i));
}

}  // namespace bitnet
