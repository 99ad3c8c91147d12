// Dot products of rows of 6-bit codes with maddubs; the two bytes of an input are multiplied apart.
#include "kernels/avx2/codes.h"
#include "kernels/avx2/ops.h"
#include "kernels/avx2/vector.h"

namespace bitnet::avx2 {
namespace {

constexpr std::int64_t bytes_ahead = 2048;
constexpr std::int64_t block_rows = 32;  // stay in the second cache while four inputs after four, which stay in the first, pass

// The codes of columns 64 p + (0 to 31) of half a block in codes[p].
void unpack_half(const std::uint8_t* half, __m256i (&codes)[4]) {
  const __m256i nibble = _mm256_set1_epi8(0x0f), top = _mm256_set1_epi8(0x30);
  const __m256i first = load(half), second = load(half + 64), tops = load(half + 128);
  const auto join = [&](__m256i low, __m256i high) {
    return _mm256_or_si256(_mm256_and_si256(low, nibble), _mm256_and_si256(high, top));
  };
  codes[0] = join(first, _mm256_slli_epi16(tops, 4));
  codes[1] = join(second, _mm256_slli_epi16(tops, 2));
  codes[2] = join(_mm256_srli_epi16(first, 4), tops);
  codes[3] = join(_mm256_srli_epi16(second, 4), _mm256_srli_epi16(tops, 2));
}

// Codes times one byte of an input. A lane of maddubs is at most 2 * 63 * 64 = 8064, so four of them stay within 16 bits.
__m256i products(const __m256i (&codes)[4], const std::int8_t* x) {
  const __m256i even = _mm256_add_epi16(_mm256_maddubs_epi16(codes[0], load(x)), _mm256_maddubs_epi16(codes[1], load(x + 64)));
  const __m256i odd =
      _mm256_add_epi16(_mm256_maddubs_epi16(codes[2], load(x + 128)), _mm256_maddubs_epi16(codes[3], load(x + 192)));
  return _mm256_add_epi16(even, odd);
}

// One row by `inputs` inputs: it is unpacked once for all of them.
template <int inputs>
void scan_row(const std::uint8_t* row, std::int64_t cols, const std::int8_t* x, std::int32_t* y, std::int64_t y_stride) {
  const __m256i by_128 = _mm256_set1_epi16(128), ones = _mm256_set1_epi16(1);
  __m256i sums[inputs] = {};
  for (std::int64_t c = 0; c < cols; c += six_bit_block_cols, row += six_bit_block_bytes) {
    for (std::int64_t b = 0; b < six_bit_block_bytes; b += 64) prefetch(row + bytes_ahead + b);
    for (int half = 0; half < 64; half += 32) {
      __m256i codes[4];
      unpack_half(row + half, codes);
      for (int i = 0; i < inputs; ++i) {
        const std::int8_t* at = x + 2 * i * cols + c + half;
        sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(products(codes, at), by_128));
        sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(products(codes, at + cols), ones));
      }
    }
  }
  for (int i = 0; i < inputs; ++i) y[i * y_stride] = sum_of(sums[i]);
}

template <int inputs>
void scan_block(const std::uint8_t* rows, std::int64_t count, std::int64_t cols, const std::int8_t* x, std::int32_t* y,
                std::int64_t y_stride) {
  const std::int64_t row_bytes = cols / six_bit_block_cols * six_bit_block_bytes;
  for (std::int64_t r = 0; r < count; ++r) scan_row<inputs>(rows + r * row_bytes, cols, x, y + r, y_stride);
}

}  // namespace

void six_bit_scan(const std::uint8_t* rows, std::int64_t cols, std::int64_t begin, std::int64_t end, const std::int8_t* x,
                  std::int64_t inputs, std::int32_t* y, std::int64_t y_stride) noexcept {
  for (std::int64_t first = begin; first < end; first += block_rows) {
    const std::int64_t count = first + block_rows < end ? block_rows : end - first;
    const std::uint8_t* block = rows + first * (cols / six_bit_block_cols * six_bit_block_bytes);
    std::int32_t* out = y + first - begin;
    std::int64_t i = 0;
    for (; i + 4 <= inputs; i += 4) scan_block<4>(block, count, cols, x + 2 * i * cols, out + i * y_stride, y_stride);
    const std::int8_t* rest = x + 2 * i * cols;
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
