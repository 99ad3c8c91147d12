// The loops around a ternary dot product that every vector instruction set shares; what differs is the Kernel.
//
// w . q = code . q - sum(q), because code = w + 1. One token: four rows stream together. More: a panel of rows passes by a few
// tokens at a time, which stay in the first cache; either codes are unpacked in registers, or a panel's are unpacked to bytes
// once, which stay in the second cache, and multiplied in register tiles. A Kernel has
//   dot(rows, lines, q, out[4])               code . q of four packed rows, each of that many lines
// and either
//   row_tokens, row_group                     the most tokens, and the rows, of
//   row_dot<tokens>(rows, lines, stride, q, out)  out[row_group][tokens] of so many packed rows
// or
//   Code                                      what a code is unpacked to, one byte
//   tile_rows, tile_tokens                    of the largest register tile; tile_rows divides 8
//   unpack_line(line, codes)                  256 codes in order
//   tile_dot<tokens>(codes, cols, stride, q, out)  out[tile_rows][tokens] of unpacked rows over so many columns, `stride` apart
// In an unnamed namespace, since each includer has its own flags.
#pragma once

#include "kernels/kernel_table.h"

namespace bitnet {
namespace {

constexpr int streams = 4;                 // rows of one token that are multiplied together
constexpr int rows_ahead = 2 * streams;    // prefetched of rows from here and there: memory answers within two groups
constexpr std::int64_t block_cols = 2560;  // of a few tokens: together they stay in the first cache for all rows of a panel

// Four packed rows, and four that come after them, which a kernel may prefetch.
struct Rows {
  const std::uint8_t* at[streams];
  const std::uint8_t* next[streams];
};

inline float finish(std::int32_t code_dot, std::int32_t sum, float activation_scale, float weight_scale) {
  return static_cast<float>(code_dot - sum) / activation_scale * weight_scale;
}

// y[row(i)] for i in [0, count), one token. The last group repeats its last row.
template <class Kernel, class Row>
void multiply_one(const TernaryMatrix& w, std::int64_t count, const Row& row, const QuantisedRows& x, float* y) {
  const std::int64_t lines = w.cols / ternary_line_cols, row_bytes = lines * ternary_line_bytes;
  const auto packed = [&](std::int64_t i) { return w.lines + row(i < count ? i : count - 1) * row_bytes; };
  for (std::int64_t i = 0; i < count; i += streams) {
    Rows rows;
    for (int k = 0; k < streams; ++k) rows.at[k] = packed(i + k), rows.next[k] = packed(i + rows_ahead + k);
    std::int32_t dots[streams];
    Kernel::dot(rows, lines, x.q, dots);
    for (int k = 0; k < streams && i + k < count; ++k) {
      const std::int64_t r = row(i + k);
      y[r] = finish(dots[k], x.sums[0], x.scales[0], w.scales[r]);
    }
  }
}

// y of `tokens` tokens from `token` on and rows [row, row + rows), rows <= most_panel_rows.
inline void finish_panel(const TernaryMatrix& w, std::int64_t row, std::int64_t rows, const QuantisedRows& x,
                         std::int64_t token, std::int64_t tokens, const std::int32_t (*dots)[most_panel_rows], float* y,
                         std::int64_t y_stride) {
  for (std::int64_t t = 0; t < tokens; ++t) {
    float* out = y + (token + t) * y_stride + row;
    const std::int32_t sum = x.sums[token + t];
    const float scale = x.scales[token + t];
    for (std::int64_t i = 0; i < rows; ++i) out[i] = finish(dots[t][i], sum, scale, w.scales[row + i]);
  }
}

template <class Kernel, int tokens>
void multiply_tile(const TernaryMatrix& w, const typename Kernel::Code* codes, std::int64_t row, std::int64_t rows,
                   const QuantisedRows& x, std::int64_t token, float* y, std::int64_t y_stride) {
  std::int32_t dots[tokens][most_panel_rows] = {};
  for (std::int64_t c = 0; c < w.cols; c += block_cols) {
    const std::int64_t cols = c + block_cols < w.cols ? block_cols : w.cols - c;
    for (std::int64_t r = 0; r < rows; r += Kernel::tile_rows) {
      std::int32_t part[Kernel::tile_rows][tokens];
      Kernel::template tile_dot<tokens>(codes + r * w.cols + c, cols, w.cols, x.q + token * w.cols + c, part);
      for (int i = 0; i < Kernel::tile_rows; ++i) {
        for (int t = 0; t < tokens; ++t) dots[t][r + i] += part[i][t];
      }
    }
  }
  finish_panel(w, row, rows, x, token, tokens, dots, y, y_stride);
}

// All tokens from `token` on, in tiles of at most `tokens`.
template <class Kernel, int tokens>
void multiply_panel(const TernaryMatrix& w, const typename Kernel::Code* codes, std::int64_t row, std::int64_t rows,
                    const QuantisedRows& x, std::int64_t token, float* y, std::int64_t y_stride) {
  for (; token + tokens <= x.tokens; token += tokens) {
    multiply_tile<Kernel, tokens>(w, codes, row, rows, x, token, y, y_stride);
  }
  if constexpr (tokens > 1) {
    if (token < x.tokens) multiply_panel<Kernel, tokens - 1>(w, codes, row, rows, x, token, y, y_stride);
  }
}

template <class Kernel>
void multiply_unpacked(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                       std::int64_t y_stride, std::byte* scratch) {
  const std::int64_t lines = w.cols / ternary_line_cols, panel_rows = ternary_panel_rows(w.cols);
  auto* codes = reinterpret_cast<typename Kernel::Code*>(scratch);  // (panel_rows, cols)
  for (std::int64_t r = begin; r < end; r += panel_rows) {
    const std::int64_t rows = end - r < panel_rows ? end - r : panel_rows;
    for (std::int64_t l = 0; l < rows * lines; ++l) {
      Kernel::unpack_line(w.lines + (r * lines + l) * ternary_line_bytes, codes + l * ternary_line_cols);
    }
    multiply_panel<Kernel, Kernel::tile_tokens>(w, codes, r, rows, x, 0, y, y_stride);
  }
}

// Rows [row, row + rows) for `count` tokens from `token` on; 1 <= count <= tokens.
template <class Kernel, int tokens>
void multiply_rows(const TernaryMatrix& w, std::int64_t row, std::int64_t rows, const QuantisedRows& x, std::int64_t token,
                   std::int64_t count, float* y, std::int64_t y_stride) {
  if constexpr (tokens > 1) {
    if (count < tokens) return multiply_rows<Kernel, tokens - 1>(w, row, rows, x, token, count, y, y_stride);
  }
  std::int32_t dots[tokens][most_panel_rows] = {};
  for (std::int64_t c = 0; c < w.cols; c += block_cols) {
    const std::int64_t cols = c + block_cols < w.cols ? block_cols : w.cols - c;
    for (std::int64_t i = 0; i < rows; i += Kernel::row_group) {
      const std::uint8_t* codes[Kernel::row_group];
      std::int64_t at[Kernel::row_group];  // the last row again, where there are fewer
      for (int k = 0; k < Kernel::row_group; ++k) {
        at[k] = i + k < rows ? i + k : rows - 1;
        codes[k] = w.lines + ((row + at[k]) * w.cols + c) / ternary_line_cols * ternary_line_bytes;
      }
      std::int32_t part[Kernel::row_group][tokens];
      Kernel::template row_dot<tokens>(codes, cols / ternary_line_cols, w.cols, x.q + token * w.cols + c, part);
      for (int k = 0; k < Kernel::row_group && i + k < rows; ++k) {
        for (int t = 0; t < tokens; ++t) dots[t][i + k] += part[k][t];
      }
    }
  }
  finish_panel(w, row, rows, x, token, tokens, dots, y, y_stride);
}

template <class Kernel>
void multiply_packed(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                     std::int64_t y_stride) {
  const std::int64_t groups = (x.tokens + Kernel::row_tokens - 1) / Kernel::row_tokens;
  for (std::int64_t row = begin; row < end; row += most_panel_rows) {
    const std::int64_t rows = end - row < most_panel_rows ? end - row : most_panel_rows;
    for (std::int64_t g = 0; g < groups; ++g) {  // of equal size but for one
      const std::int64_t token = x.tokens * g / groups, count = x.tokens * (g + 1) / groups - token;
      multiply_rows<Kernel, Kernel::row_tokens>(w, row, rows, x, token, count, y, y_stride);
    }
  }
}

template <class Kernel>
void multiply_ternary(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                      std::int64_t y_stride, std::byte* scratch) {
  if (x.tokens == 1) return multiply_one<Kernel>(w, end - begin, [&](std::int64_t i) { return begin + i; }, x, y);
  if constexpr (requires { Kernel::row_tokens; }) {
    multiply_packed<Kernel>(w, begin, end, x, y, y_stride);
  } else {
    multiply_unpacked<Kernel>(w, begin, end, x, y, y_stride, scratch);
  }
}

template <class Kernel>
void multiply_ternary_rows(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const QuantisedRows& x,
                           float* y) {
  multiply_one<Kernel>(w, count, [&](std::int64_t i) { return rows[i]; }, x, y);
}

}  // namespace
}  // namespace bitnet
