// Packing of codes into 64-byte lines.
#include "kernels/ternary_layout.h"

#include <cstring>

#include "common/checked.h"

namespace bitnet {
namespace {

constexpr std::uint8_t zero_weights = 0x55;  // four codes of 1

std::uint8_t* line_of(std::uint8_t* lines, std::int64_t line_count, std::int64_t row, std::int64_t line) {
  const std::int64_t group = row / ternary_group_rows, in_group = row % ternary_group_rows;
  return lines + ((group * line_count + line) * ternary_group_rows + in_group) * ternary_line_bytes;
}

}  // namespace

std::int64_t ternary_lines_bytes(std::int64_t rows, std::int64_t cols) {
  return round_up(rows, ternary_group_rows) * ceil_div(cols, ternary_line_cols) * ternary_line_bytes;
}

void pack_ternary_row(const std::uint8_t* codes, std::int64_t cols, std::int64_t row, std::uint8_t* lines) {
  const std::int64_t count = ceil_div(cols, ternary_line_cols);
  for (std::int64_t l = 0; l < count; ++l) {
    const std::uint8_t* c = codes + l * ternary_line_cols;
    std::uint8_t padded[ternary_line_cols];
    const std::int64_t left = cols - l * ternary_line_cols;
    if (left < ternary_line_cols) {
      std::memset(padded, 1, sizeof padded);
      std::memcpy(padded, c, static_cast<std::size_t>(left));
      c = padded;
    }
    std::uint8_t* line = line_of(lines, count, row, l);
    for (int b = 0; b < 64; ++b) {
      line[b] = static_cast<std::uint8_t>(c[b] | c[b + 64] << 2 | c[b + 128] << 4 | c[b + 192] << 6);
    }
  }
}

void clear_ternary_row(std::int64_t cols, std::int64_t row, std::uint8_t* lines) {
  const std::int64_t count = ceil_div(cols, ternary_line_cols);
  for (std::int64_t l = 0; l < count; ++l) {
    std::memset(line_of(lines, count, row, l), zero_weights, static_cast<std::size_t>(ternary_line_bytes));
  }
}

}  // namespace bitnet
