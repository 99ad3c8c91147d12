// The loops around a ternary dot product that every vector instruction set shares; what differs is the Kernel.
//
// w . q = code . q - sum(q), because code = w + 1. One token: a group's rows stream together, codes are unpacked in registers.
// More tokens: sixteen rows are unpacked to bytes once (they stay in L1/L2) and multiplied in register tiles. A Kernel has
//   Code                                      what a code is unpacked to, one byte
//   tile_rows, tile_tokens                    of the largest register tile; tile_rows divides panel_rows
//   unpack_line(line, codes)                  256 codes in order
//   group_dot(group, lines, q, out[4])        code . q of the four packed rows of a group, each of that many lines
//   tile_dot<tokens>(codes, cols, q, out)     out[tile_rows][tokens] of unpacked rows, `cols` apart
// In an unnamed namespace, since each includer has its own flags.
#pragma once

#include "kernels/kernel_table.h"

namespace bitnet {
namespace {

constexpr std::int64_t panel_rows = 16;

inline float finish(std::int32_t code_dot, std::int32_t sum, float activation_scale, float weight_scale) {
  return static_cast<float>(code_dot - sum) / activation_scale * weight_scale;
}

template <class Kernel, int tokens>
void multiply_tile(const TernaryMatrix& w, const typename Kernel::Code* codes, std::int64_t row, std::int64_t rows,
                   const QuantisedRows& x, std::int64_t token, float* y, std::int64_t y_stride) {
  for (std::int64_t r = 0; r < rows; r += Kernel::tile_rows) {
    std::int32_t dots[Kernel::tile_rows][tokens];
    Kernel::template tile_dot<tokens>(codes + r * w.cols, w.cols, x.q + token * w.cols, dots);
    for (int t = 0; t < tokens; ++t) {
      float* out = y + (token + t) * y_stride + row + r;
      for (int i = 0; i < Kernel::tile_rows; ++i) {
        out[i] = finish(dots[i][t], x.sums[token + t], x.scales[token + t], w.scales[row + r + i]);
      }
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
  const std::int64_t lines = w.cols / ternary_line_cols, group_bytes = lines * ternary_group_rows * ternary_line_bytes;
  const auto group = [&](std::int64_t row) { return w.lines + row / ternary_group_rows * group_bytes; };
  if (x.tokens == 1) {
    for (std::int64_t r = begin; r < end; r += ternary_group_rows) {
      std::int32_t dots[ternary_group_rows];
      Kernel::group_dot(group(r), lines, x.q, dots);
      for (int i = 0; i < ternary_group_rows; ++i) y[r + i] = finish(dots[i], x.sums[0], x.scales[0], w.scales[r + i]);
    }
    return;
  }
  auto* codes = reinterpret_cast<typename Kernel::Code*>(scratch);  // (panel_rows, cols)
  for (std::int64_t r = begin; r < end; r += panel_rows) {
    const std::int64_t rows = end - r < panel_rows ? end - r : panel_rows;
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::uint8_t* line = group(r + i) + (r + i) % ternary_group_rows * ternary_line_bytes;
      for (std::int64_t l = 0; l < lines; ++l, line += ternary_group_rows * ternary_line_bytes) {
        Kernel::unpack_line(line, codes + i * w.cols + l * ternary_line_cols);
      }
    }
    multiply_panel<Kernel, Kernel::tile_tokens>(w, codes, r, rows, x, 0, y, y_stride);
  }
}

}  // namespace
}  // namespace bitnet
