// Dot products of int8 rows with 16-bit integers on 512 bits: bytes widened to 16, products added in pairs to 32 by vpdpwssd.
#include "kernels/avx512/codes.h"
#include "kernels/avx512/ops.h"

namespace bitnet::avx512 {
namespace {

constexpr std::int64_t bytes_ahead = 4096;
constexpr std::int64_t block_rows = 32;  // stay in the second cache while four inputs after four, which stay in the first, pass

// 32 columns.
__m512i widened(const std::int8_t* p) { return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }

void add_products(__m512i& sum, __m512i row, const std::int16_t* x) { sum = _mm512_dpwssd_epi32(sum, row, load512(x)); }

// One row by one input, two sums so that additions do not wait for one another.
std::int32_t scan_row(const std::int8_t* row, std::int64_t cols, const std::int16_t* x) {
  __m512i even = _mm512_setzero_si512(), odd = _mm512_setzero_si512();
  std::int64_t c = 0;
  for (; c + 64 <= cols; c += 64) {
    prefetch(row + c + bytes_ahead);
    add_products(even, widened(row + c), x + c);
    add_products(odd, widened(row + c + 32), x + c + 32);
  }
  if (c < cols) add_products(even, widened(row + c), x + c);
  return sum_of512(_mm512_add_epi32(even, odd));
}

// Written as instructions because GCC 12 given intrinsics keeps sums in memory; as intrinsics where they are emulated.
void add_to_four(__m512i& sum0, __m512i& sum1, __m512i& sum2, __m512i& sum3, const __m512i (&rows)[4], __m512i x) {
#ifdef __AVX512VNNI__
  asm volatile(
      "vpdpwssd %[x], %[row0], %[sum0]\n\tvpdpwssd %[x], %[row1], %[sum1]\n\t"
      "vpdpwssd %[x], %[row2], %[sum2]\n\tvpdpwssd %[x], %[row3], %[sum3]"
      : [sum0] "+v"(sum0), [sum1] "+v"(sum1), [sum2] "+v"(sum2), [sum3] "+v"(sum3)
      : [row0] "v"(rows[0]), [row1] "v"(rows[1]), [row2] "v"(rows[2]), [row3] "v"(rows[3]), [x] "v"(x));
#else
  sum0 = _mm512_dpwssd_epi32(sum0, rows[0], x), sum1 = _mm512_dpwssd_epi32(sum1, rows[1], x);
  sum2 = _mm512_dpwssd_epi32(sum2, rows[2], x), sum3 = _mm512_dpwssd_epi32(sum3, rows[3], x);
#endif
}

// Four rows by four inputs: rows are widened once for all inputs, inputs are loaded once for all rows, and sixteen sums leave
// no instruction waiting for another.
void scan_four_by_four(const std::int8_t* const (&rows)[4], std::int64_t cols, const std::int16_t* x,
                       std::int32_t (&out)[4][4]) {
  __m512i sums[4][4];
  for (auto& of_row : sums) {
    for (__m512i& sum : of_row) sum = _mm512_setzero_si512();
  }
  for (std::int64_t c = 0; c < cols; c += 32) {
    __m512i wide[4];
    for (int r = 0; r < 4; ++r) {
      prefetch(rows[r] + c + bytes_ahead);
      wide[r] = widened(rows[r] + c);
    }
    for (int i = 0; i < 4; ++i) add_to_four(sums[0][i], sums[1][i], sums[2][i], sums[3][i], wide, load512(x + i * cols + c));
  }
  for (int r = 0; r < 4; ++r) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out[r]), sums_of_four(sums[r][0], sums[r][1], sums[r][2], sums[r][3]));
  }
}

}  // namespace

void int8_scan(const std::int8_t* rows, std::int64_t cols, std::int64_t begin, std::int64_t end, const std::int16_t* x,
               std::int64_t inputs, std::int32_t* y, std::int64_t y_stride) noexcept {
  for (std::int64_t first = begin; first < end; first += block_rows) {
    const std::int64_t last = first + block_rows < end ? first + block_rows : end;
    std::int64_t i = 0;
    for (; i + 4 <= inputs; i += 4) {
      for (std::int64_t r = first; r < last; r += 4) {
        std::int64_t at[4];  // the last row again, where there are fewer
        for (int k = 0; k < 4; ++k) at[k] = r + k < last ? r + k : last - 1;
        std::int32_t sums[4][4];
        scan_four_by_four({rows + at[0] * cols, rows + at[1] * cols, rows + at[2] * cols, rows + at[3] * cols}, cols,
                          x + i * cols, sums);
        for (int k = 0; k < 4; ++k) {
          for (int n = 0; n < 4; ++n) y[(i + n) * y_stride + at[k] - begin] = sums[k][n];
        }
      }
    }
    for (; i < inputs; ++i) {
      for (std::int64_t r = first; r < last; ++r) y[i * y_stride + r - begin] = scan_row(rows + r * cols, cols, x + i * cols);
    }
  }
}

}  // namespace bitnet::avx512
