// The loops around a ternary dot product that the x86 kernels share; what differs is the Kernel: how products are accumulated.
//
// w . q = code . q - sum(q), because code = w + 1 is unsigned, as the byte products of x86 want it. One token: four rows stream
// together, codes are unpacked in registers. More tokens: sixteen rows are unpacked to bytes once (they stay in L1/L2) and
// multiplied in register tiles. In an unnamed namespace, since each includer has its own flags.
#pragma once

#include <immintrin.h>

#include "kernels/kernel_table.h"

namespace bitnet {
namespace {

constexpr std::int64_t panel_rows = 16;
constexpr int tile_tokens = 6;

inline __m256i load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

inline std::int32_t sum_of(__m256i v) {
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}

inline void unpack_row(const std::uint8_t* line, std::int64_t lines, std::uint8_t* codes) {
  const __m256i three = _mm256_set1_epi8(3);
  for (std::int64_t l = 0; l < lines; ++l, line += ternary_group_rows * ternary_line_bytes, codes += ternary_line_cols) {
    for (int half = 0; half < 2; ++half) {
      const __m256i bytes = load(line + 32 * half);
      auto* out = reinterpret_cast<__m256i*>(codes + 32 * half);
      _mm256_storeu_si256(out, _mm256_and_si256(bytes, three));
      _mm256_storeu_si256(out + 2, _mm256_and_si256(_mm256_srli_epi16(bytes, 2), three));
      _mm256_storeu_si256(out + 4, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), three));
      _mm256_storeu_si256(out + 6, _mm256_and_si256(_mm256_srli_epi16(bytes, 6), three));
    }
  }
}

inline float finish(std::int32_t code_dot, std::int32_t sum, float activation_scale, float weight_scale) {
  return static_cast<float>(code_dot - sum) / activation_scale * weight_scale;
}

template <class Kernel, int tokens>
void tile(const TernaryMatrix& w, const std::uint8_t* codes, std::int64_t row, std::int64_t rows, const QuantisedRows& x,
          std::int64_t token, float* y, std::int64_t y_stride) {
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

template <class Kernel>
void matmul_panel(const TernaryMatrix& w, const std::uint8_t* codes, std::int64_t row, std::int64_t rows,
                  const QuantisedRows& x, float* y, std::int64_t y_stride) {
  std::int64_t t = 0;
  for (; t + tile_tokens <= x.tokens; t += tile_tokens) tile<Kernel, tile_tokens>(w, codes, row, rows, x, t, y, y_stride);
  switch (x.tokens - t) {
    case 5:
      return tile<Kernel, 5>(w, codes, row, rows, x, t, y, y_stride);
    case 4:
      return tile<Kernel, 4>(w, codes, row, rows, x, t, y, y_stride);
    case 3:
      return tile<Kernel, 3>(w, codes, row, rows, x, t, y, y_stride);
    case 2:
      return tile<Kernel, 2>(w, codes, row, rows, x, t, y, y_stride);
    case 1:
      return tile<Kernel, 1>(w, codes, row, rows, x, t, y, y_stride);
    default:
      return;
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
  auto* codes = reinterpret_cast<std::uint8_t*>(scratch);  // (panel_rows, cols)
  for (std::int64_t r = begin; r < end; r += panel_rows) {
    const std::int64_t rows = end - r < panel_rows ? end - r : panel_rows;
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t row = r + i;
      const std::uint8_t* first =
          w.lines + row / ternary_group_rows * group_bytes + row % ternary_group_rows * ternary_line_bytes;
      unpack_row(first, lines, codes + i * w.cols);
    }
    matmul_panel<Kernel>(w, codes, r, rows, x, y, y_stride);
  }
}

}  // namespace
}  // namespace bitnet
