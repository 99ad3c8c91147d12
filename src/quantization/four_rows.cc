// IQ2_BN_R4: four rows side by side, so that one load of four bytes meets four consecutive activations of one row.
#include "quantization/interwoven.h"

namespace bitnet {
namespace {

constexpr std::int64_t heads = 16;  // the four scales before the codes

// The 64 bytes of 64 columns hold, for each run of 16 columns, 4 bytes a row: byte i of them columns i, i + 4, i + 8, i + 12.
std::int64_t four_bytes_at(std::int64_t cols, std::int64_t row, std::int64_t col) {
  return row / 4 * (heads + cols) + heads + col / 16 * 16 + row % 4 * 4;
}

}  // namespace

void unpack_four_rows(const std::uint8_t* bytes, std::int64_t cols, std::int64_t row, std::uint8_t* codes) {
  for (std::int64_t col = 0; col < cols; col += 16) {
    const std::uint8_t* p = bytes + four_bytes_at(cols, row, col);
    for (int plane = 0; plane < 4; ++plane) {
      for (int i = 0; i < 4; ++i) codes[col + 4 * plane + i] = p[i] >> (2 * plane) & 3;
    }
  }
}

void pack_four_rows(const std::uint8_t* codes, std::int64_t cols, std::int64_t row, std::uint8_t* bytes) {
  for (std::int64_t col = 0; col < cols; col += 16) {
    std::uint8_t* p = bytes + four_bytes_at(cols, row, col);
    const std::uint8_t* c = codes + col;
    for (int i = 0; i < 4; ++i) p[i] = static_cast<std::uint8_t>(c[i] | c[i + 4] << 2 | c[i + 8] << 4 | c[i + 12] << 6);
  }
}

}  // namespace bitnet
