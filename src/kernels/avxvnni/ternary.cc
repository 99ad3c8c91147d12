// Ternary matmul with vpdpbusd on 256 bits: four products at a time added to a 32-bit lane, so that nothing can overflow.
#include "kernels/avx2/codes.h"
#include "kernels/avx2/sum_tables.h"
#include "kernels/avxvnni/ops.h"

namespace bitnet::avxvnni {
namespace {

constexpr std::int64_t bytes_ahead = 2048;  // prefetched of rows that follow one another

// code . q of one row; a sum for each plane, so that no addition waits for another. Planes 1 and 3 are left where they lie,
// four times as large, which saves a shift of each.
std::int32_t row_by_one(const std::uint8_t* row, const std::uint8_t* ahead, std::int64_t lines, const std::int8_t* q) {
  const __m256i low = _mm256_set1_epi8(0x03), high = _mm256_set1_epi8(0x0c);
  __m256i sums[4] = {};
  for (std::int64_t at = 0; at < lines * ternary_line_bytes; at += 32) {
    const __m256i bytes = load(row + at);
    const std::int8_t* x = q + at / ternary_line_bytes * ternary_line_cols + at % ternary_line_bytes;
    prefetch(ahead + at);
    const __m256i upper = _mm256_srli_epi16(bytes, 4);
    sums[0] = _mm256_dpbusd_avx_epi32(sums[0], _mm256_and_si256(bytes, low), load(x));
    sums[1] = _mm256_dpbusd_avx_epi32(sums[1], _mm256_and_si256(bytes, high), load(x + 64));
    sums[2] = _mm256_dpbusd_avx_epi32(sums[2], _mm256_and_si256(upper, low), load(x + 128));
    sums[3] = _mm256_dpbusd_avx_epi32(sums[3], _mm256_and_si256(upper, high), load(x + 192));
  }
  const __m256i fourfold = _mm256_add_epi32(sums[1], sums[3]);
  return sum_of(_mm256_add_epi32(_mm256_add_epi32(sums[0], sums[2]), _mm256_srai_epi32(fourfold, 2)));
}

struct Dot {
  static constexpr int row_tokens = 8, row_group = 1;

  static void dot(const Rows& rows, std::int64_t lines, const std::int8_t* q, std::int32_t out[streams]) {
    const bool in_order = rows.at[streams - 1] - rows.at[0] == (streams - 1) * lines * ternary_line_bytes;
    for (int r = 0; r < streams; ++r) {
      out[r] = row_by_one(rows.at[r], in_order ? rows.at[r] + bytes_ahead : rows.next[r], lines, q);
    }
  }

  // code . q for one packed row and `tokens` tokens, codes unpacked in registers.
  template <int tokens>
  static void row_dot(const std::uint8_t* const (&rows)[row_group], std::int64_t lines, std::int64_t stride,
                      const std::int8_t* q, std::int32_t (&out)[row_group][tokens]) {
    __m256i sums[tokens] = {};
    const std::int8_t* x[tokens];
    for (int t = 0; t < tokens; ++t) x[t] = q + t * stride;
    for (std::int64_t l = 0; l < lines; ++l) {
      const std::uint8_t* line = rows[0] + l * ternary_line_bytes;
      prefetch(line + bytes_ahead);
      add_packed_line<Dot>(sums, line, x, l * ternary_line_cols);
    }
    for (int t = 0; t < tokens; ++t) out[0][t] = sum_of(sums[t]);
  }

  // Written as an instruction because GCC 12 given intrinsics keeps sums in memory; x is memory that no caller writes in the
  // same function. Where the instruction is emulated, as intrinsics.
  template <int offset>
  static void add_one(__m256i& sum, __m256i w, const std::int8_t* x, std::int64_t i) {
#ifdef __AVXVNNI__
    asm volatile("%{vex%} vpdpbusd %c[offset](%[x],%[i]), %[w], %[sum]"
                 : [sum] "+x"(sum)
                 : [w] "x"(w), [x] "r"(x), [i] "r"(i), [offset] "i"(offset));
#else
    sum = _mm256_dpbusd_avx_epi32(sum, w, load(x + i + offset));
#endif
  }
};

}  // namespace

void ternary_matmul(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                    std::int64_t y_stride, std::byte* scratch) noexcept {
  multiply_ternary_by_sums<Dot>(w, begin, end, x, y, y_stride, scratch);
}

void ternary_rows(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const QuantisedRows& x,
                  float* y) noexcept {
  multiply_ternary_rows<Dot>(w, rows, count, x, y);
}

}  // namespace bitnet::avxvnni
