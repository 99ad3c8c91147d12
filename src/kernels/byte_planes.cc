// Splitting int8 rows into planes.
#include "kernels/byte_planes.h"

namespace bitnet {

void split_planes(const std::int8_t* row, std::int64_t cols, std::uint8_t* high, std::uint8_t* low) {
  for (std::int64_t c = 0; c < cols; c += six_bit_block_cols, high += six_bit_block_bytes, low += ternary_line_bytes) {
    std::uint8_t v[six_bit_block_cols];
    for (std::int64_t i = 0; i < six_bit_block_cols; ++i) v[i] = static_cast<std::uint8_t>(row[c + i] ^ 0x80);
    for (int b = 0; b < 128; ++b) high[b] = static_cast<std::uint8_t>((v[b] >> 2 & 15) | (v[b + 128] << 2 & 0xf0));
    for (int b = 0; b < 64; ++b) {
      high[128 + b] =
          static_cast<std::uint8_t>(v[b] >> 6 | (v[b + 64] >> 4 & 0x0c) | (v[b + 128] >> 2 & 0x30) | (v[b + 192] & 0xc0));
      low[b] =
          static_cast<std::uint8_t>((v[b] & 3) | (v[b + 64] << 2 & 0x0c) | (v[b + 128] << 4 & 0x30) | (v[b + 192] << 6 & 0xc0));
    }
  }
}

}  // namespace bitnet
