// Dot products of int8 rows with 16-bit integers: bytes widened to 16 bits, products added in pairs to 32.
#include <immintrin.h>

#include "kernels/avx2/ops.h"
#include "kernels/avx2/vector.h"

namespace bitnet::avx2 {
namespace {

constexpr std::int64_t prefetch_bytes = 1024;

__m256i widened(const std::int8_t* p) { return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }

std::int32_t sum_of(__m256i v) {
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}

template <int count>
void scan_rows(const std::int8_t* rows, std::int64_t cols, const std::int16_t* x, std::int32_t* y) {
  __m256i sums[count] = {};
  for (std::int64_t c = 0; c < cols; c += 32) {
    const __m256i x0 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + c));
    const __m256i x1 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + c + 16));
    for (int r = 0; r < count; ++r) {
      const std::int8_t* row = rows + r * cols + c;
      _mm_prefetch(reinterpret_cast<const char*>(row + prefetch_bytes), _MM_HINT_T0);
      sums[r] = _mm256_add_epi32(sums[r], _mm256_madd_epi16(widened(row), x0));
      sums[r] = _mm256_add_epi32(sums[r], _mm256_madd_epi16(widened(row + 16), x1));
    }
  }
  for (int r = 0; r < count; ++r) y[r] = sum_of(sums[r]);
}

}  // namespace

void int8_scan(const std::int8_t* rows, std::int64_t cols, std::int64_t begin, std::int64_t end, const std::int16_t* x,
               std::int32_t* y) noexcept {
  std::int64_t r = begin;
  for (; r + 4 <= end; r += 4) scan_rows<4>(rows + r * cols, cols, x, y + r);
  for (; r < end; ++r) scan_rows<1>(rows + r * cols, cols, x, y + r);
}

void quantisation_error(const float* x, const std::int8_t* q, float step, std::int64_t n, float* squares,
                        float* error_squares) noexcept {
  const __m256 steps = _mm256_set1_ps(step);
  __m256 sums[2] = {}, errors[2] = {};
  std::int64_t i = 0;
  for (; i + float_lanes <= n; i += float_lanes) {
    for (int half = 0; half < 2; ++half) {
      const __m256 value = _mm256_loadu_ps(x + i + 8 * half);
      const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(q + i + 8 * half));
      const __m256 error = _mm256_sub_ps(value, _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)), steps));
      sums[half] = _mm256_add_ps(sums[half], _mm256_mul_ps(value, value));
      errors[half] = _mm256_add_ps(errors[half], _mm256_mul_ps(error, error));
    }
  }
  float lanes[float_lanes], error_lanes[float_lanes];
  _mm256_storeu_ps(lanes, sums[0]), _mm256_storeu_ps(lanes + 8, sums[1]);
  _mm256_storeu_ps(error_lanes, errors[0]), _mm256_storeu_ps(error_lanes + 8, errors[1]);
  for (; i < n; ++i) {
    const float error = x[i] - static_cast<float>(q[i]) * step;
    lanes[i % float_lanes] += x[i] * x[i];
    error_lanes[i % float_lanes] += error * error;
  }
  *squares = bitnet::lane_sum(lanes), *error_squares = bitnet::lane_sum(error_lanes);
}

}  // namespace bitnet::avx2
