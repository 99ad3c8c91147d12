// The loops around a ternary dot product that every vector instruction set shares; what differs is the Kernel.
//
// w . q = code . q - sum(q), because code = w + 1. One token: four rows stream together, codes are unpacked in registers. More
// tokens: sixteen rows are unpacked to bytes once (they stay in L1/L2) and multiplied in register tiles. A Kernel has
//   Code                                      what a code is unpacked to, one byte
//   tile_rows, tile_tokens                    of the largest register tile; tile_rows divides panel_rows
//   unpack_line(line, codes)                  256 codes in order
//   dot(rows, lines, q, out[4])               code . q of four packed rows, each of that many lines
//   tile_dot<tokens>(codes, cols, stride, q, out)  out[tile_rows][tokens] of unpacked rows over so many columns, `stride` apart
// In an unnamed namespace, since each includer has its own flags.
#pragma once

#include "kernels/kernel_table.h"

namespace bitnet {
namespace {

constexpr int streams = 4;  // rows of one token that are multiplied together
constexpr std::int64_t panel_rows = 16;
constexpr std::int64_t block_cols = 2560;  // of a tile's tokens: together they stay in the first cache for all rows of a panel

// Four packed rows, and the four that come after them, which a kernel may prefetch.
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
    for (int k = 0; k < streams; ++k) rows.at[k] = packed(i + k), rows.next[k] = packed(i + streams + k);
    std::int32_t dots[streams];
    Kernel::dot(rows, lines, x.q, dots);
    for (int k = 0; k < streams && i + k < count; ++k) {
      const std::int64_t r = row(i + k);
      y[r] = finish(dots[k], x.sums[0], x.scales[0], w.scales[r]);
    }
  }
}

template <class Kernel, int tokens>
void multiply_tile(const TernaryMatrix& w, const typename Kernel::Code* codes, std::int64_t row, std::int64_t rows,
                   const QuantisedRows& x, std::int64_t token, float* y, std::int64_t y_stride) {
  std::int32_t dots[panel_rows][tokens] = {};
  for (std::int64_t c = 0; c < w.cols; c += block_cols) {
    const std::int64_t cols = c + block_cols < w.cols ? block_cols : w.cols - c;
    for (std::int64_t r = 0; r < rows; r += Kernel::tile_rows) {
      std::int32_t part[Kernel::tile_rows][tokens];
      Kernel::template tile_dot<tokens>(codes + r * w.cols + c, cols, w.cols, x.q + token * w.cols + c, part);
      for (int i = 0; i < Kernel::tile_rows; ++i) {
        for (int t = 0; t < tokens; ++t) dots[r + i][t] += part[i][t];
      }
    }
  }
  for (int t = 0; t < tokens; ++t) {
    float* out = y + (token + t) * y_stride + row;
    for (std::int64_t i = 0; i < rows; ++i) {
      out[i] = finish(dots[i][t], x.sums[token + t], x.scales[token + t], w.scales[row + i]);
    }
  }
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
void multiply_ternary(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                      std::int64_t y_stride, std::byte* scratch) {
  if (x.tokens == 1) return multiply_one<Kernel>(w, end - begin, [&](std::int64_t i) { return begin + i; }, x, y);
  const std::int64_t lines = w.cols / ternary_line_cols;
  auto* codes = reinterpret_cast<typename Kernel::Code*>(scratch);  // (panel_rows, cols)
  for (std::int64_t r = begin; r < end; r += panel_rows) {
    const std::int64_t rows = end - r < panel_rows ? end - r : panel_rows;
    for (std::int64_t l = 0; l < rows * lines; ++l) {
      Kernel::unpack_line(w.lines + (r * lines + l) * ternary_line_bytes, codes + l * ternary_line_cols);
    }
    multiply_panel<Kernel, Kernel::tile_tokens>(w, codes, r, rows, x, 0, y, y_stride);
  }
}

template <class Kernel>
void multiply_ternary_rows(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const QuantisedRows& x,
                           float* y) {
  multiply_one<Kernel>(w, count, [&](std::int64_t i) { return rows[i]; }, x, y);
}

}  // namespace
}  // namespace bitnet
