// Formats of two bits a code (I2_S, TQ2_0): eight bytes at a time, each byte a lane that no shift leaves.
#include <cstring>

#include "quantization/packed_format.h"

namespace bitnet {
namespace {

constexpr std::uint64_t three_in_each = 0x0303030303030303u;

std::uint64_t load8(const std::uint8_t* p) {
  std::uint64_t v;
  std::memcpy(&v, p, 8);
  return v;
}
void store8(std::uint8_t* p, std::uint64_t v) { std::memcpy(p, &v, 8); }

// Byte i of `stride` holds codes i, i + stride, i + 2 stride and i + 3 stride; the first in the top bits or in the bottom ones.
template <int stride, bool first_on_top>
void unpack_planes(const std::uint8_t* bytes, std::uint8_t* codes) {
  for (int i = 0; i < stride; i += 8) {
    const std::uint64_t packed = load8(bytes + i);
    for (int plane = 0; plane < 4; ++plane) {
      const int shift = 2 * (first_on_top ? 3 - plane : plane);
      store8(codes + plane * stride + i, packed >> shift & three_in_each);
    }
  }
}

template <int stride, bool first_on_top>
void pack_planes(const std::uint8_t* codes, std::uint8_t* bytes) {
  for (int i = 0; i < stride; i += 8) {
    std::uint64_t packed = 0;
    for (int plane = 0; plane < 4; ++plane) {
      const int shift = 2 * (first_on_top ? 3 - plane : plane);
      packed |= load8(codes + plane * stride + i) << shift;
    }
    store8(bytes + i, packed);
  }
}

}  // namespace

void TwoBits::unpack_i2_s(const std::uint8_t* block, std::uint8_t* codes) { unpack_planes<32, true>(block, codes); }
void TwoBits::pack_i2_s(const std::uint8_t* codes, std::uint8_t* block) { pack_planes<32, true>(codes, block); }

void TwoBits::unpack_tq2_0(const std::uint8_t* block, std::uint8_t* codes) {
  unpack_planes<32, false>(block, codes), unpack_planes<32, false>(block + 32, codes + 128);
}
void TwoBits::pack_tq2_0(const std::uint8_t* codes, std::uint8_t* block) {
  pack_planes<32, false>(codes, block), pack_planes<32, false>(codes + 128, block + 32);
}

}  // namespace bitnet
