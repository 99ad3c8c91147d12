// Ternary matmul. w . q = code . q - sum(q), because code = w + 1 is unsigned, as maddubs wants it.
//
// One token: four rows stream together, codes are unpacked in registers. More tokens: sixteen rows are unpacked to bytes once
// (they stay in L1/L2) and multiplied in register tiles of 2 rows by up to 6 tokens.
#include <immintrin.h>

#include "kernels/avx2/ops.h"

namespace bitnet::avx2 {
namespace {

constexpr std::int64_t panel_rows = 16;
// maddubs gives at most 2 * 2 * 128 = 512 per 16-bit lane, so 32 of them (16384) stay far from overflow: widen after 4 lines
// of 8.
constexpr std::int64_t lines_per_widening = 4;

__m256i load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

std::int32_t sum_of(__m256i v) {
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}

// Adds the 8 products of one line (256 weights) of one row to a 16-bit accumulator.
__m256i add_line(__m256i acc, const std::uint8_t* line, const std::int8_t* q) {
  const __m256i three = _mm256_set1_epi8(3);
  for (int half = 0; half < 2; ++half) {
    const __m256i bytes = load(line + 32 * half);
    const std::int8_t* x = q + 32 * half;
    acc = _mm256_add_epi16(acc, _mm256_maddubs_epi16(_mm256_and_si256(bytes, three), load(x)));
    acc = _mm256_add_epi16(acc, _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(bytes, 2), three), load(x + 64)));
    acc = _mm256_add_epi16(acc, _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(bytes, 4), three), load(x + 128)));
    acc = _mm256_add_epi16(acc, _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(bytes, 6), three), load(x + 192)));
  }
  return acc;
}

// code . q of the four rows of a group.
void group_dot(const std::uint8_t* group, std::int64_t lines, const std::int8_t* q, std::int32_t out[4]) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sums[4] = {};
  for (std::int64_t l = 0; l < lines; l += lines_per_widening) {
    const std::int64_t end = l + lines_per_widening < lines ? l + lines_per_widening : lines;
    __m256i acc[4] = {};
    for (std::int64_t i = l; i < end; ++i) {
      const std::uint8_t* line = group + i * ternary_group_rows * ternary_line_bytes;
      _mm_prefetch(reinterpret_cast<const char*>(line + 2048), _MM_HINT_T0);
      _mm_prefetch(reinterpret_cast<const char*>(line + 2048 + 64), _MM_HINT_T0);
      _mm_prefetch(reinterpret_cast<const char*>(line + 2048 + 128), _MM_HINT_T0);
      _mm_prefetch(reinterpret_cast<const char*>(line + 2048 + 192), _MM_HINT_T0);
      for (int r = 0; r < 4; ++r) acc[r] = add_line(acc[r], line + r * ternary_line_bytes, q + i * ternary_line_cols);
    }
    for (int r = 0; r < 4; ++r) sums[r] = _mm256_add_epi32(sums[r], _mm256_madd_epi16(acc[r], ones));
  }
  for (int r = 0; r < 4; ++r) out[r] = sum_of(sums[r]);
}

void unpack_row(const std::uint8_t* line, std::int64_t lines, std::uint8_t* codes) {
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

// code . q for 2 unpacked rows and `tokens` tokens.
template <int tokens>
void tile_dot(const std::uint8_t* codes, std::int64_t cols, const std::int8_t* q, std::int32_t out[2][tokens]) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sums[2][tokens] = {};
  constexpr std::int64_t block = lines_per_widening * ternary_line_cols;
  for (std::int64_t c = 0; c < cols; c += block) {
    const std::int64_t end = c + block < cols ? c + block : cols;
    __m256i acc[2][tokens] = {};
    for (std::int64_t i = c; i < end; i += 32) {
      const __m256i w0 = load(codes + i), w1 = load(codes + cols + i);
      for (int t = 0; t < tokens; ++t) {
        const __m256i x = load(q + t * cols + i);
        acc[0][t] = _mm256_add_epi16(acc[0][t], _mm256_maddubs_epi16(w0, x));
        acc[1][t] = _mm256_add_epi16(acc[1][t], _mm256_maddubs_epi16(w1, x));
      }
      // Holds the accumulators in their registers: GCC 12 otherwise computes all products first and spills.
      for (int t = 0; t < tokens; ++t) asm volatile("" : "+x"(acc[0][t]), "+x"(acc[1][t]));
    }
    for (int t = 0; t < tokens; ++t) {
      sums[0][t] = _mm256_add_epi32(sums[0][t], _mm256_madd_epi16(acc[0][t], ones));
      sums[1][t] = _mm256_add_epi32(sums[1][t], _mm256_madd_epi16(acc[1][t], ones));
    }
  }
  for (int t = 0; t < tokens; ++t) out[0][t] = sum_of(sums[0][t]), out[1][t] = sum_of(sums[1][t]);
}

float finish(std::int32_t code_dot, std::int32_t sum, float activation_scale, float weight_scale) {
  return static_cast<float>(code_dot - sum) / activation_scale * weight_scale;
}

template <int tokens>
void tile(const TernaryMatrix& w, const std::uint8_t* codes, std::int64_t row, std::int64_t rows, const QuantisedRows& x,
          std::int64_t token, float* y, std::int64_t y_stride) {
  for (std::int64_t r = 0; r < rows; r += 2) {
    std::int32_t dots[2][tokens];
    tile_dot<tokens>(codes + r * w.cols, w.cols, x.q + token * w.cols, dots);
    for (int t = 0; t < tokens; ++t) {
      float* out = y + (token + t) * y_stride + row + r;
      out[0] = finish(dots[0][t], x.sums[token + t], x.scales[token + t], w.scales[row + r]);
      out[1] = finish(dots[1][t], x.sums[token + t], x.scales[token + t], w.scales[row + r + 1]);
    }
  }
}

void matmul_panel(const TernaryMatrix& w, const std::uint8_t* codes, std::int64_t row, std::int64_t rows,
                  const QuantisedRows& x, float* y, std::int64_t y_stride) {
  std::int64_t t = 0;
  for (; t + 6 <= x.tokens; t += 6) tile<6>(w, codes, row, rows, x, t, y, y_stride);
  switch (x.tokens - t) {
    case 5:
      return tile<5>(w, codes, row, rows, x, t, y, y_stride);
    case 4:
      return tile<4>(w, codes, row, rows, x, t, y, y_stride);
    case 3:
      return tile<3>(w, codes, row, rows, x, t, y, y_stride);
    case 2:
      return tile<2>(w, codes, row, rows, x, t, y, y_stride);
    case 1:
      return tile<1>(w, codes, row, rows, x, t, y, y_stride);
    default:
      return;
  }
}

}  // namespace

void ternary_matmul(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                    std::int64_t y_stride, std::byte* scratch) noexcept {
  const std::int64_t lines = w.cols / ternary_line_cols, group_bytes = lines * ternary_group_rows * ternary_line_bytes;
  if (x.tokens == 1) {
    for (std::int64_t r = begin; r < end; r += ternary_group_rows) {
      std::int32_t dots[4];
      group_dot(w.lines + r / ternary_group_rows * group_bytes, lines, x.q, dots);
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
    matmul_panel(w, codes, r, rows, x, y, y_stride);
  }
}

}  // namespace bitnet::avx2
