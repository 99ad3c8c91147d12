// Packing of codes into 64-byte lines.
#include "kernels/ternary_layout.h"

#include <cstring>

#include "common/checked.h"

namespace bitnet {
std::int64_t ternary_lines_bytes(std::int64_t rows, std::int64_t cols) {
  return rows * ceil_div(cols, ternary_line_cols) * ternary_line_bytes;
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
    std::uint8_t* line = lines + (row * count + l) * ternary_line_bytes;
    for (int b = 0; b < 64; ++b) {
      line[b] = static_cast<std::uint8_t>(c[b] | c[b + 64] << 2 | c[b + 128] << 4 | c[b + 192] << 6);
    }
  }
}

namespace {

constexpr int side = 64;  // bytes of a line

// square[o]: a row of bytes, eight in a word. Byte b is the codes of outputs first + o, + 64, + 128, + 192 for input
// 64 plane + b of a line, as a byte of the turned matrix holds them.
void gather(const TernaryMatrix& w, std::int64_t line, std::int64_t first, int plane, std::uint64_t (&square)[side][side / 8]) {
  constexpr std::uint64_t codes = 0x0303030303030303;  // of eight bytes, the lowest each
  constexpr int zeros = 0x55;                          // four codes of 1, for rows that are not there
  const std::int64_t lines = w.cols / ternary_line_cols;
  for (int o = 0; o < side; ++o) {
    std::uint64_t words[side / 8] = {};
    for (int p = 0; p < 4; ++p) {
      const std::int64_t row = first + side * p + o;
      std::uint64_t stored[side / 8];
      if (row < w.rows) {
        std::memcpy(stored, w.lines + (row * lines + line) * ternary_line_bytes, sizeof stored);
      } else {
        std::memset(stored, zeros, sizeof stored);
      }
      for (int i = 0; i < side / 8; ++i) words[i] |= (stored[i] >> (2 * plane) & codes) << (2 * p);
    }
    std::memcpy(square[o], words, sizeof words);
  }
}

// Eight by eight bytes, a row in a word: byte b of row o becomes byte o of row b. By halves, quarters and single ones
// (Warren, "Hacker's Delight", section 7-3).
void turn_over(std::uint64_t (&rows)[8]) {
  for (int apart = 4; apart > 0; apart /= 2) {
    const std::uint64_t low = apart == 4 ? 0x00000000ffffffff : apart == 2 ? 0x0000ffff0000ffff : 0x00ff00ff00ff00ff;
    for (int i = 0; i < 8; ++i) {
      if ((i & apart) != 0) continue;
      const std::uint64_t differ = (rows[i] >> (8 * apart) ^ rows[i + apart]) & low;
      rows[i] ^= differ << (8 * apart), rows[i + apart] ^= differ;
    }
  }
}

}  // namespace

void turn_ternary_over(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, std::uint8_t* turned) {
  const std::int64_t lines = ceil_div(w.rows, ternary_line_cols);
  std::uint64_t square[side][side / 8];
  for (std::int64_t line = begin; line < end; ++line) {
    for (int plane = 0; plane < 4; ++plane) {
      std::uint8_t* first = turned + (line * ternary_line_cols + side * plane) * lines * ternary_line_bytes;
      for (std::int64_t l = 0; l < lines; ++l) {
        gather(w, line, l * ternary_line_cols, plane, square);
        for (int o = 0; o < side; o += 8) {
          for (int b = 0; b < side; b += 8) {
            std::uint64_t rows[8];
            for (int i = 0; i < 8; ++i) rows[i] = square[o + i][b / 8];
            turn_over(rows);
            for (int i = 0; i < 8; ++i)
              std::memcpy(first + ((b + i) * lines + l) * ternary_line_bytes + o, &rows[i], sizeof rows[i]);
          }
        }
      }
    }
  }
}

}  // namespace bitnet
