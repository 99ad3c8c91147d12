// Ternary matmul of many tokens by tables of sums: no multiplication, and one addition for four weights of sixteen tokens.
//
// A byte of a line is four codes c of columns 64 apart, so it is one of 81 sums x0 (c0 - 1) + x1 (c1 - 1) + x2 (c2 - 1) +
// x3 (c3 - 1). For 32 tokens these sums, 16 bits each, are a table of lines of the cache, and every row adds up what its bytes
// point at. Making a table costs as much as some hundred rows that use it, so there must be many rows; eight tables at a time
// stay in the first cache while the sums of all rows pass by from the second.
// In an unnamed namespace, since each includer has its own flags.
#pragma once

#include <cstring>

#include "kernels/avx2/codes.h"
#include "kernels/avx2/ops.h"

namespace bitnet {
namespace {

using avx2::sum_table_rows, avx2::sum_table_tokens;

constexpr std::int64_t least_sum_table_rows = 384, least_sum_table_tokens = 26;  // below, multiplying takes no longer
constexpr int tables_a_pass = 8;
constexpr int passes_per_widening = 4;  // 32 tables of at most 4 * 128 each stay within 16 bits
constexpr int vectors = 2;              // of sixteen tokens

struct TokenSums {  // a line of the cache where the scratch memory begins with one
  std::int16_t of[sum_table_tokens];
};

// A byte points at its sums directly. No code is 3, so a table uses 27 of the 64 places that its addresses have in a cache of
// 64 sets; each lies 21 places (a code of each column) behind the one before, so that together they use all alike.
constexpr std::int64_t sum_table_lines = 256 + 21;

struct SumScratch {
  TokenSums tables[tables_a_pass * sum_table_lines];
  TokenSums narrow[sum_table_rows];  // of one row since the last widening
  std::int32_t wide[sum_table_rows][sum_table_tokens];
};
static_assert(sizeof(SumScratch) <= kernel_scratch_bytes(0, 0));

inline __m256i load_sums(const TokenSums& sums, int vector) { return load(sums.of + 16 * vector); }

inline void store(void* p, __m256i v) { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }

// columns[c][t] = x[t][c] of eight columns and sixteen tokens.
inline void turn_over(const std::int8_t* const* x, std::int64_t first, std::int16_t (*columns)[sum_table_tokens]) {
  __m128i parts[8], joined[8];
  const auto eight = [&](int token) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(x[token] + first)); };
  for (int t = 0; t < 8; ++t) parts[t] = _mm_unpacklo_epi8(eight(t), eight(t + 8));
  for (int apart = 4, each = 1; apart > 0; apart /= 2, each *= 2) {  // `each` registers hold every apart-th token
    for (int i = 0; i < apart * each; ++i) {
      joined[2 * i] = _mm_unpacklo_epi8(parts[i], parts[i + apart * each]);
      joined[2 * i + 1] = _mm_unpackhi_epi8(parts[i], parts[i + apart * each]);
    }
    for (int i = 0; i < 8; ++i) parts[i] = joined[i];
  }
  for (int c = 0; c < 8; ++c) store(columns[c], _mm256_cvtepi8_epi16(parts[c]));
}

// The 81 sums of four columns.
inline void fill_table(TokenSums* table, const std::int16_t* x0, const std::int16_t* x1, const std::int16_t* x2,
                       const std::int16_t* x3) {
  for (int v = 0; v < vectors; ++v) {
    const __m256i a = load(x0 + 16 * v), b = load(x1 + 16 * v), c = load(x2 + 16 * v), d = load(x3 + 16 * v);
    __m256i sum3 = _mm256_sub_epi16(_mm256_setzero_si256(), _mm256_add_epi16(_mm256_add_epi16(a, b), _mm256_add_epi16(c, d)));
    for (int c3 = 0; c3 < 3; ++c3, sum3 = _mm256_add_epi16(sum3, d)) {
      __m256i sum2 = sum3;
      for (int c2 = 0; c2 < 3; ++c2, sum2 = _mm256_add_epi16(sum2, c)) {
        __m256i sum1 = sum2;
        for (int c1 = 0; c1 < 3; ++c1, sum1 = _mm256_add_epi16(sum1, b)) {
          TokenSums* sums = table + 4 * c1 + 16 * c2 + 64 * c3;
          const __m256i middle = _mm256_add_epi16(sum1, a);
          store(sums[0].of + 16 * v, sum1);
          store(sums[1].of + 16 * v, middle);
          store(sums[2].of + 16 * v, _mm256_add_epi16(middle, a));
        }
      }
    }
  }
}

// The tables of bytes [byte, byte + 8) of the line that begins at column `first`.
inline void fill_tables(SumScratch& scratch, const std::int8_t* const (&x)[sum_table_tokens], std::int64_t first,
                        std::int64_t byte) {
  alignas(32) std::int16_t columns[4][tables_a_pass][sum_table_tokens];
  for (int plane = 0; plane < 4; ++plane) {
    for (int v = 0; v < vectors; ++v) {
      turn_over(x + 16 * v, first + 64 * plane + byte,
                reinterpret_cast<std::int16_t(*)[sum_table_tokens]>(columns[plane][0] + 16 * v));
    }
  }
  for (int k = 0; k < tables_a_pass; ++k)
    fill_table(scratch.tables + k * sum_table_lines, columns[0][k], columns[1][k], columns[2][k], columns[3][k]);
}

// Adds what eight bytes of every row point at. Passes of a line are numbered; the first of some starts sums of 16 bits anew,
// the last adds them to those of 32.
template <bool starts, bool widens, bool fetches>
void add_bytes(SumScratch& scratch, const std::uint8_t* bytes, std::int64_t row_bytes, std::int64_t rows) {
  const auto* tables = reinterpret_cast<const char*>(scratch.tables);
  for (std::int64_t r = 0; r < rows; ++r, bytes += row_bytes) {
    __m256i sums[vectors] = {};
    if constexpr (!starts) {
      for (int v = 0; v < vectors; ++v) sums[v] = load_sums(scratch.narrow[r], v);
    }
    if constexpr (fetches) _mm_prefetch(reinterpret_cast<const char*>(bytes + ternary_line_bytes), _MM_HINT_T1);
    std::uint64_t eight;  // shifted and masked, since loading each byte takes longer
    std::memcpy(&eight, bytes, sizeof eight);
    for (int k = 0; k < tables_a_pass; ++k) {
      constexpr int log2_size = 6;
      static_assert(sizeof(TokenSums) == 1 << log2_size);
      const std::uint64_t offset = (k == 0 ? eight << log2_size : eight >> (8 * k - log2_size)) & (255u << log2_size);
      // So written that what does not depend on the byte becomes part of the instruction.
      const char* at = tables + offset;
      constexpr std::int64_t table_bytes = sum_table_lines * static_cast<std::int64_t>(sizeof(TokenSums));
      for (int v = 0; v < vectors; ++v) sums[v] = _mm256_add_epi16(sums[v], load(at + k * table_bytes + 32 * v));
    }
    for (int v = 0; v < vectors; ++v) {
      if constexpr (widens) {
        std::int32_t* wide = scratch.wide[r] + 16 * v;
        store(wide, _mm256_add_epi32(load(wide), _mm256_cvtepi16_epi32(_mm256_castsi256_si128(sums[v]))));
        store(wide + 8, _mm256_add_epi32(load(wide + 8), _mm256_cvtepi16_epi32(_mm256_extracti128_si256(sums[v], 1))));
      } else {
        store(scratch.narrow[r].of + 16 * v, sums[v]);
      }
    }
  }
}

// rows[i][k] becomes rows[k][i].
inline void turn_over(__m256 (&rows)[8]) {
  __m256 pairs[8], fours[8];
  for (int i = 0; i < 4; ++i) {
    pairs[2 * i] = _mm256_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
    pairs[2 * i + 1] = _mm256_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int k = 0; k < 2; ++k) {
      fours[i + 2 * k] = _mm256_shuffle_ps(pairs[i + k], pairs[i + k + 2], 0x44);
      fours[i + 2 * k + 1] = _mm256_shuffle_ps(pairs[i + k], pairs[i + k + 2], 0xee);
    }
  }
  for (int k = 0; k < 4; ++k) {
    rows[k] = _mm256_permute2f128_ps(fours[k], fours[k + 4], 0x20);
    rows[k + 4] = _mm256_permute2f128_ps(fours[k], fours[k + 4], 0x31);
  }
}

// y of all sums, as finish() makes it; eight rows by eight tokens at a time, the last eight rows once more where they overlap.
inline void finish_sums(const SumScratch& scratch, const TernaryMatrix& w, std::int64_t row, std::int64_t rows,
                        const float* scales, std::int64_t count, float* y, std::int64_t y_stride) {
  for (std::int64_t begin = 0; begin < rows; begin += 8) {
    const std::int64_t first = begin + 8 <= rows ? begin : rows - 8;
    for (std::int64_t t = 0; t < count; t += 8) {
      const __m256 activation_scales = _mm256_loadu_ps(scales + t);
      __m256 values[8];
      for (std::int64_t i = 0; i < 8; ++i) {
        const __m256 sums = _mm256_cvtepi32_ps(load(scratch.wide[first + i] + t));
        values[i] = _mm256_mul_ps(_mm256_div_ps(sums, activation_scales), _mm256_set1_ps(w.scales[row + first + i]));
      }
      turn_over(values);
      for (std::int64_t i = 0; i < 8 && t + i < count; ++i) _mm256_storeu_ps(y + (t + i) * y_stride + row + first, values[i]);
    }
  }
}

// Rows [row, row + rows), 8 to sum_table_rows, by `count` tokens from `token` on, at most sum_table_tokens.
inline void multiply_block(const TernaryMatrix& w, std::int64_t row, std::int64_t rows, const QuantisedRows& x,
                           std::int64_t token, std::int64_t count, float* y, std::int64_t y_stride, SumScratch& scratch) {
  const std::int8_t* q[sum_table_tokens];
  float scales[sum_table_tokens];
  for (std::int64_t t = 0; t < sum_table_tokens; ++t) {  // the last token again, where there are fewer
    const std::int64_t from = token + (t < count ? t : count - 1);
    q[t] = x.q + from * x.cols, scales[t] = x.scales[from];
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t t = 0; t < sum_table_tokens; t += 8) store(scratch.wide[r] + t, _mm256_setzero_si256());
  }
  const std::int64_t row_bytes = w.cols / ternary_line_cols * ternary_line_bytes;
  for (std::int64_t c = 0; c < w.cols; c += ternary_line_cols) {
    const std::uint8_t* line = w.lines + row * row_bytes + c / ternary_line_cols * ternary_line_bytes;
    for (std::int64_t byte = 0, pass = 0; byte < ternary_line_bytes; byte += tables_a_pass, ++pass) {
      fill_tables(scratch, q, c, byte);
      const std::int64_t phase = pass % passes_per_widening;
      const auto add = pass == 0                          ? add_bytes<true, false, true>
                       : phase == 0                       ? add_bytes<true, false, false>
                       : phase == passes_per_widening - 1 ? add_bytes<false, true, false>
                                                          : add_bytes<false, false, false>;
      add(scratch, line + byte, row_bytes, rows);
    }
  }
  finish_sums(scratch, w, row, rows, scales, count, y + token * y_stride, y_stride);
}

// multiply_ternary(), by tables where there are enough rows and tokens.
template <class Kernel>
void multiply_ternary_by_sums(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                              std::int64_t y_stride, std::byte* scratch) {
  std::int64_t token = 0;
  while (end - begin >= least_sum_table_rows && x.tokens - token >= least_sum_table_tokens) {
    const std::int64_t count = x.tokens - token < sum_table_tokens ? x.tokens - token : sum_table_tokens;
    const std::int64_t blocks = (end - begin + sum_table_rows - 1) / sum_table_rows;
    for (std::int64_t b = 0; b < blocks; ++b) {  // of equal size but for one row
      const std::int64_t row = begin + (end - begin) * b / blocks, rows = begin + (end - begin) * (b + 1) / blocks - row;
      multiply_block(w, row, rows, x, token, count, y, y_stride, *reinterpret_cast<SumScratch*>(scratch));
    }
    token += count;
  }
  if (token == x.tokens) return;
  const QuantisedRows rest{x.q + token * x.cols, x.scales + token, x.sums + token, x.tokens - token, x.cols};
  multiply_ternary<Kernel>(w, begin, end, rest, y + token * y_stride, y_stride, scratch);
}

}  // namespace
}  // namespace bitnet
