// The loops around a ternary dot product that all ARM kernels share; what differs is the Kernel: how a product is accumulated.
//
// One token: four rows of a group stream together, codes are unpacked in registers. More tokens: sixteen rows are unpacked once
// and multiplied in register tiles of 4 rows by up to 4 tokens. In an unnamed namespace, since each includer has its own flags.
#pragma once

#include <arm_neon.h>

#include "kernels/kernel_table.h"

namespace bitnet {
namespace {

constexpr std::int64_t panel_rows = 16;

// Plane p (0 to 3) of sixteen bytes of a line: the codes of weights 64 p + (0 to 15).
template <int plane>
int8x16_t codes_of(uint8x16_t bytes) {
  if constexpr (plane == 0) {
    return vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(3)));
  } else if constexpr (plane == 3) {
    return vreinterpretq_s8_u8(vshrq_n_u8(bytes, 6));
  } else {
    return vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(bytes, 2 * plane), vdupq_n_u8(3)));
  }
}

// w . q = code . q - sum(q), because code = w + 1.
inline float finish(std::int32_t code_dot, std::int32_t sum, float activation_scale, float weight_scale) {
  return static_cast<float>(code_dot - sum) / activation_scale * weight_scale;
}

// One row's codes as bytes: line l, weight i at codes[256 l + i].
inline void unpack_row(const std::uint8_t* line, std::int64_t lines, std::int8_t* codes) {
  for (std::int64_t l = 0; l < lines; ++l, line += ternary_group_rows * ternary_line_bytes, codes += ternary_line_cols) {
    for (int i = 0; i < ternary_line_bytes; i += 16) {
      const uint8x16_t bytes = vld1q_u8(line + i);
      vst1q_s8(codes + i, codes_of<0>(bytes)), vst1q_s8(codes + 64 + i, codes_of<1>(bytes));
      vst1q_s8(codes + 128 + i, codes_of<2>(bytes)), vst1q_s8(codes + 192 + i, codes_of<3>(bytes));
    }
  }
}

template <class Kernel, int tokens>
void tile(const TernaryMatrix& w, const std::int8_t* codes, std::int64_t row, std::int64_t rows, const QuantisedRows& x,
          std::int64_t token, float* y, std::int64_t y_stride) {
  for (std::int64_t r = 0; r < rows; r += 4) {
    std::int32_t dots[4][tokens];
    Kernel::template tile_dot<tokens>(codes + r * w.cols, w.cols, x.q + token * w.cols, dots);
    for (int t = 0; t < tokens; ++t) {
      for (int i = 0; i < 4; ++i) {
        y[(token + t) * y_stride + row + r + i] =
            finish(dots[i][t], x.sums[token + t], x.scales[token + t], w.scales[row + r + i]);
      }
    }
  }
}

template <class Kernel>
void multiply_ternary(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                      std::int64_t y_stride, std::byte* scratch) {
  const std::int64_t lines = w.cols / ternary_line_cols, group_bytes = lines * ternary_group_rows * ternary_line_bytes;
  if (x.tokens == 1) {
    for (std::int64_t r = begin; r < end; r += ternary_group_rows) {
      std::int32_t dots[4];
      Kernel::group_dot(w.lines + r / ternary_group_rows * group_bytes, lines, x.q, dots);
      for (int i = 0; i < 4; ++i) y[r + i] = finish(dots[i], x.sums[0], x.scales[0], w.scales[r + i]);
    }
    return;
  }
  auto* codes = reinterpret_cast<std::int8_t*>(scratch);  // (panel_rows, cols)
  for (std::int64_t r = begin; r < end; r += panel_rows) {
    const std::int64_t rows = end - r < panel_rows ? end - r : panel_rows;
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t row = r + i;
      unpack_row(w.lines + row / ternary_group_rows * group_bytes + row % ternary_group_rows * ternary_line_bytes, lines,
                 codes + i * w.cols);
    }
    std::int64_t t = 0;
    for (; t + 4 <= x.tokens; t += 4) tile<Kernel, 4>(w, codes, r, rows, x, t, y, y_stride);
    for (; t + 2 <= x.tokens; t += 2) tile<Kernel, 2>(w, codes, r, rows, x, t, y, y_stride);
    if (t < x.tokens) tile<Kernel, 1>(w, codes, r, rows, x, t, y, y_stride);
  }
}

}  // namespace
}  // namespace bitnet
