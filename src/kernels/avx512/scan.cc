// Dot products of int8 rows with 16-bit integers on 512 bits: bytes widened to 16, products added in pairs to 32 by vpdpwssd.
#include "kernels/avx512/codes.h"
#include "kernels/avx512/ops.h"

namespace bitnet::avx512 {
namespace {

constexpr std::int64_t bytes_ahead = 2048;
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
void add_to_two(__m512i& sum0, __m512i& sum1, __m512i row0, __m512i row1, __m512i x) {
#ifdef __AVX512VNNI__
  asm volatile("vpdpwssd %[x], %[row0], %[sum0]\n\tvpdpwssd %[x], %[row1], %[sum1]"
               : [sum0] "+v"(sum0), [sum1] "+v"(sum1)
               : [row0] "v"(row0), [row1] "v"(row1), [x] "v"(x));
#else
  sum0 = _mm512_dpwssd_epi32(sum0, row0, x), sum1 = _mm512_dpwssd_epi32(sum1, row1, x);
#endif
}

// Two rows by four inputs: rows are widened once for all inputs, inputs are loaded once for both rows.
void scan_two_by_four(const std::int8_t* row0, const std::int8_t* row1, std::int64_t cols, const std::int16_t* x,
                      std::int32_t (&out)[2][4]) {
  const __m512i zero = _mm512_setzero_si512();
  __m512i sums0[4] = {zero, zero, zero, zero}, sums1[4] = {zero, zero, zero, zero};
  for (std::int64_t c = 0; c < cols; c += 32) {
    prefetch(row0 + c + bytes_ahead), prefetch(row1 + c + bytes_ahead);
    const __m512i wide0 = widened(row0 + c), wide1 = widened(row1 + c);
    for (int i = 0; i < 4; ++i) {
      add_to_two(sums0[i], sums1[i], wide0, wide1, load512(x + i * cols + c));
    }
  }
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out[0]), sums_of_four(sums0[0], sums0[1], sums0[2], sums0[3]));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out[1]), sums_of_four(sums1[0], sums1[1], sums1[2], sums1[3]));
}

}  // namespace

void int8_scan(const std::int8_t* rows, std::int64_t cols, std::int64_t begin, std::int64_t end, const std::int16_t* x,
               std::int64_t inputs, std::int32_t* y, std::int64_t y_stride) noexcept {
  for (std::int64_t first = begin; first < end; first += block_rows) {
    const std::int64_t last = first + block_rows < end ? first + block_rows : end;
    std::int64_t i = 0;
    for (; i + 4 <= inputs; i += 4) {
      for (std::int64_t r = first; r < last; r += 2) {
        const std::int64_t next = r + 1 < last ? r + 1 : r;  // the last row twice, where it stands alone
        std::int32_t sums[2][4];
        scan_two_by_four(rows + r * cols, rows + next * cols, cols, x + i * cols, sums);
        for (int k = 0; k < 4; ++k) {
          y[(i + k) * y_stride + r - begin] = sums[0][k], y[(i + k) * y_stride + next - begin] = sums[1][k];
        }
      }
    }
    for (; i < inputs; ++i) {
      for (std::int64_t r = first; r < last; ++r) y[i * y_stride + r - begin] = scan_row(rows + r * cols, cols, x + i * cols);
    }
  }
}

}  // namespace bitnet::avx512
