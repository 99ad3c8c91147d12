// I2_S: 2 bits a weight in blocks of 128, one float32 scale behind the tensor (bitnet.cpp, the layout of every published file).
//
// Byte j of a block of 32 holds weights j, j + 32, j + 64, j + 96 in bits 7-6, 5-4, 3-2, 1-0. The same on every processor: a
// build of bitnet.cpp for ARM once read blocks of 64, and no published file is like that.
#include <cstring>

#include "common/half.h"
#include "quantization/formats.h"

namespace bitnet::i2_s {
namespace {

constexpr std::int64_t block = 128, block_bytes = 32;

void unpack_block(const std::byte* bytes, std::uint8_t* codes) {
  const auto* p = reinterpret_cast<const std::uint8_t*>(bytes);
  for (int group = 0; group < 4; ++group) {
    for (int j = 0; j < 32; ++j) codes[32 * group + j] = p[j] >> (6 - 2 * group) & 3;
  }
}

}  // namespace

float scale(std::span<const std::byte> bytes, std::int64_t weights) {
  const std::byte* p = bytes.data() + weights / 4;
  std::uint32_t bits = 0;
  for (int i = 3; i >= 0; --i) bits = bits << 8 | std::to_integer<std::uint32_t>(p[i]);
  return __builtin_bit_cast(float, bits);
}

void unpack(const std::byte* bytes, std::int64_t first, std::int64_t n, std::uint8_t* codes) {
  while (n > 0) {
    const std::byte* start = bytes + first / block * block_bytes;
    const std::int64_t skip = first % block, take = n < block - skip ? n : block - skip;
    if (take == block) {
      unpack_block(start, codes);
    } else {
      std::uint8_t whole[block];
      unpack_block(start, whole);
      std::memcpy(codes, whole + skip, static_cast<std::size_t>(take));
    }
    first += take, n -= take, codes += take;
  }
}

}  // namespace bitnet::i2_s
