// Formats of up to five codes a byte (TQ1_0, PTQ1_0, IQ1_BN): digits of a number to base 3, kept as a fraction of 243 rounded
// up to a byte.
#include <array>

#include "quantization/packed_format.h"

namespace bitnet {
namespace {

constexpr unsigned power[5] = {1, 3, 9, 27, 81};

// Digit n of a byte, the most significant first: times 3^n brings it to the top of what eight bits keep.
constexpr std::uint8_t digit(unsigned byte, int n) { return static_cast<std::uint8_t>((byte * power[n] & 0xff) * 3 >> 8); }

// The byte of each value below 243: value / 243 as a fraction of 256, rounded up.
constexpr std::array<std::uint8_t, 243> bytes_of_values = [] {
  std::array<std::uint8_t, 243> bytes{};
  for (unsigned v = 0; v < 243; ++v) bytes[v] = static_cast<std::uint8_t>((v * 256 + 242) / 243);
  return bytes;
}();

// `count` bytes of `digits` codes each: byte m holds codes m, m + count, m + 2 count ...
template <int count, int digits>
void unpack_digits(const std::uint8_t* bytes, std::uint8_t* codes) {
  for (int n = 0; n < digits; ++n) {
    for (int m = 0; m < count; ++m) codes[count * n + m] = digit(bytes[m], n);
  }
}

template <int count, int digits>
void pack_digits(const std::uint8_t* codes, std::uint8_t* bytes) {
  for (int m = 0; m < count; ++m) {
    unsigned value = 0;
    for (int n = 0; n < digits; ++n) value += codes[count * n + m] * power[4 - n];
    bytes[m] = bytes_of_values[value];
  }
}

}  // namespace

void BaseThree::unpack_tq1_0(const std::uint8_t* block, std::uint8_t* codes) {
  unpack_digits<32, 5>(block, codes), unpack_digits<16, 5>(block + 32, codes + 160),
      unpack_digits<4, 4>(block + 48, codes + 240);
}
void BaseThree::pack_tq1_0(const std::uint8_t* codes, std::uint8_t* block) {
  pack_digits<32, 5>(codes, block), pack_digits<16, 5>(codes + 160, block + 32), pack_digits<4, 4>(codes + 240, block + 48);
}

void BaseThree::unpack_ptq1_0(const std::uint8_t* block, std::uint8_t* codes) {
  unpack_digits<16, 5>(block, codes), unpack_digits<8, 5>(block + 16, codes + 80), unpack_digits<2, 4>(block + 24, codes + 120);
}
void BaseThree::pack_ptq1_0(const std::uint8_t* codes, std::uint8_t* block) {
  pack_digits<16, 5>(codes, block), pack_digits<8, 5>(codes + 80, block + 16), pack_digits<2, 4>(codes + 120, block + 24);
}

// Of each 16 codes three bytes hold five each, the first code the least significant digit; byte 12 holds the last of all four
// sixteens, that of the first the least significant.
void BaseThree::unpack_iq1_bn(const std::uint8_t* block, std::uint8_t* codes) {
  for (int group = 0; group < 4; ++group, codes += 16) {
    for (int j = 0; j < 15; ++j) codes[j] = digit(block[3 * group + j / 5], 4 - j % 5);
    codes[15] = digit(block[12], 4 - group);
  }
}
void BaseThree::pack_iq1_bn(const std::uint8_t* codes, std::uint8_t* block) {
  unsigned last = 0;
  for (int group = 0; group < 4; ++group, codes += 16) {
    for (int third = 0; third < 3; ++third) {
      unsigned value = 0;
      for (int j = 0; j < 5; ++j) value += codes[5 * third + j] * power[j];
      block[3 * group + third] = bytes_of_values[value];
    }
    last += codes[15] * power[group];
  }
  block[12] = bytes_of_values[last];
}

}  // namespace bitnet
