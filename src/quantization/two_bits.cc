// Formats of two bits a code (I2_S, TQ2_0, IQ2_BN, Q2_0, PQ2_0): eight bytes at a time, each byte a lane that no shift leaves.
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

// Where the order of the lanes matters: the first code lowest, whatever the machine's byte order.
std::uint64_t load_codes(const std::uint8_t* p) {
  std::uint64_t v = 0;
  for (int i = 7; i >= 0; --i) v = v << 8 | p[i];
  return v;
}
void store_codes(std::uint8_t* p, std::uint64_t v) {
  for (int i = 0; i < 8; ++i) p[i] = static_cast<std::uint8_t>(v >> (8 * i));
}

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

// Byte i holds codes 4i to 4i + 3, the first in the bottom bits. Eight codes are gathered and spread in a 64-bit word: pairs
// of bytes, then of nibbles.
template <int bytes_of_block>
void unpack_runs(const std::uint8_t* bytes, std::uint8_t* codes) {
  for (int i = 0; i < bytes_of_block; i += 2) {
    std::uint64_t v = bytes[i] | static_cast<std::uint64_t>(bytes[i + 1]) << 32;
    v = (v | v << 12) & 0x000f000f000f000fu;
    v = (v | v << 6) & three_in_each;
    store_codes(codes + 4 * i, v);
  }
}

template <int bytes_of_block>
void pack_runs(const std::uint8_t* codes, std::uint8_t* bytes) {
  for (int i = 0; i < bytes_of_block; i += 2) {
    std::uint64_t v = load_codes(codes + 4 * i);
    v = (v | v >> 6) & 0x000f000f000f000fu;
    v = v | v >> 12;
    bytes[i] = static_cast<std::uint8_t>(v), bytes[i + 1] = static_cast<std::uint8_t>(v >> 32);
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

void TwoBits::unpack_iq2_bn(const std::uint8_t* block, std::uint8_t* codes) { unpack_planes<16, false>(block, codes); }
void TwoBits::pack_iq2_bn(const std::uint8_t* codes, std::uint8_t* block) { pack_planes<16, false>(codes, block); }

void TwoBits::unpack_q2_0(const std::uint8_t* block, std::uint8_t* codes) { unpack_runs<16>(block + 2, codes); }
void TwoBits::pack_q2_0(const std::uint8_t* codes, std::uint8_t* block) { pack_runs<16>(codes, block + 2); }
void TwoBits::unpack_q2_0_g128(const std::uint8_t* block, std::uint8_t* codes) { unpack_runs<32>(block + 2, codes); }
void TwoBits::pack_q2_0_g128(const std::uint8_t* codes, std::uint8_t* block) { pack_runs<32>(codes, block + 2); }

}  // namespace bitnet
