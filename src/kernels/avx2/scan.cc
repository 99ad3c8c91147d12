// Dot products of int8 rows with 16-bit integers: bytes widened to 16 bits, products added in pairs to 32.
#include "kernels/avx2/codes.h"
#include "kernels/avx2/ops.h"
#include "kernels/avx2/vector.h"

namespace bitnet::avx2 {
namespace {

constexpr std::int64_t bytes_ahead = 1024;
constexpr std::int64_t block_rows = 32;  // stay in the second cache while four inputs after four, which stay in the first, pass

__m256i widened(const std::int8_t* p) { return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }

// Adds 32 columns of a row times one input.
void add_columns(__m256i& sum, __m256i low, __m256i high, const std::int16_t* x) {
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(low, load(x)));
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(high, load(x + 16)));
}

// Adds 16 columns of two rows times one input, which is loaded once; left to itself, GCC 12 loads it twice and keeps sums in
// memory.
void add_to_two(__m256i& sum0, __m256i& sum1, __m256i row0, __m256i row1, const std::int16_t* x) {
  __m256i product0, product1;
  asm("vmovdqu %[x], %[product1]\n\t"
      "vpmaddwd %[product1], %[row0], %[product0]\n\t"
      "vpmaddwd %[product1], %[row1], %[product1]\n\t"
      "vpaddd %[product0], %[sum0], %[sum0]\n\t"
      "vpaddd %[product1], %[sum1], %[sum1]"
      : [sum0] "+x"(sum0), [sum1] "+x"(sum1), [product0] "=&x"(product0), [product1] "=&x"(product1)
      : [row0] "x"(row0), [row1] "x"(row1), [x] "m"(*reinterpret_cast<const __m256i_u*>(x)));
}

// Two rows by `inputs` inputs: each row is widened once for all of them. The two rows behind come into the cache meanwhile.
template <int inputs>
void scan_two(const std::int8_t* rows, std::int64_t cols, const std::int16_t* x, std::int32_t* y, std::int64_t y_stride) {
  __m256i sums0[inputs] = {}, sums1[inputs] = {};
  for (std::int64_t c = 0; c < cols; c += 32) {
    const std::int8_t *row0 = rows + c, *row1 = row0 + cols;
    prefetch(row0 + 2 * cols), prefetch(row1 + 2 * cols);
    const __m256i low0 = widened(row0), high0 = widened(row0 + 16), low1 = widened(row1), high1 = widened(row1 + 16);
    for (int i = 0; i < inputs; ++i) {
      add_to_two(sums0[i], sums1[i], low0, low1, x + i * cols + c);
      add_to_two(sums0[i], sums1[i], high0, high1, x + i * cols + c + 16);
    }
  }
  for (int i = 0; i < inputs; ++i) y[i * y_stride] = sum_of(sums0[i]), y[i * y_stride + 1] = sum_of(sums1[i]);
}

// `count` rows by one input.
template <int count>
void scan_rows(const std::int8_t* rows, std::int64_t cols, const std::int16_t* x, std::int32_t* y) {
  __m256i sums[count] = {};
  for (std::int64_t c = 0; c < cols; c += 32) {
    for (int r = 0; r < count; ++r) {
      const std::int8_t* row = rows + r * cols + c;
      prefetch(row + bytes_ahead);
      add_columns(sums[r], widened(row), widened(row + 16), x + c);
    }
  }
  for (int r = 0; r < count; ++r) y[r] = sum_of(sums[r]);
}

// `count` rows by `inputs` inputs.
template <int inputs>
void scan_block(const std::int8_t* rows, std::int64_t count, std::int64_t cols, const std::int16_t* x, std::int32_t* y,
                std::int64_t y_stride) {
  constexpr int together = inputs == 1 ? 4 : 2;
  std::int64_t r = 0;
  for (; r + together <= count; r += together) {
    if constexpr (inputs == 1) {
      scan_rows<together>(rows + r * cols, cols, x, y + r);
    } else {
      scan_two<inputs>(rows + r * cols, cols, x, y + r, y_stride);
    }
  }
  for (; r < count; ++r) {
    for (int i = 0; i < inputs; ++i) scan_rows<1>(rows + r * cols, cols, x + i * cols, y + i * y_stride + r);
  }
}

}  // namespace

void int8_scan(const std::int8_t* rows, std::int64_t cols, std::int64_t begin, std::int64_t end, const std::int16_t* x,
               std::int64_t inputs, std::int32_t* y, std::int64_t y_stride) noexcept {
  for (std::int64_t first = begin; first < end; first += block_rows) {
    const std::int64_t count = first + block_rows < end ? block_rows : end - first;
    const std::int8_t* block = rows + first * cols;
    std::int32_t* out = y + first - begin;
    std::int64_t i = 0;
    for (; i + 4 <= inputs; i += 4) scan_block<4>(block, count, cols, x + i * cols, out + i * y_stride, y_stride);
    const std::int16_t* rest = x + i * cols;
    out += i * y_stride;
    if (inputs - i == 3) scan_block<3>(block, count, cols, rest, out, y_stride);
    if (inputs - i == 2) scan_block<2>(block, count, cols, rest, out, y_stride);
    if (inputs - i == 1) scan_block<1>(block, count, cols, rest, out, y_stride);
  }
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
