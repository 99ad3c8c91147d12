// Dense matmul over weights decoded to float32: 16 lanes as two registers, tiles of 2 rows by 2 tokens.
#include "kernels/avx2/ops.h"
#include "kernels/avx2/vector.h"
#include "kernels/block_decode.h"

namespace bitnet::avx2 {
namespace {

// Adds columns [c, cols), fewer than 16, to lanes given as registers, and sums them.
float finish(__m256 low, __m256 high, const float* w, const float* x, std::int64_t c, std::int64_t cols) {
  if (c == cols) return lane_sum(low, high);
  float lanes[float_lanes];
  _mm256_storeu_ps(lanes, low), _mm256_storeu_ps(lanes + 8, high);
  for (std::int64_t i = 0; c + i < cols; ++i) lanes[i] += w[c + i] * x[c + i];
  return bitnet::lane_sum(lanes);
}

template <int rows, int tokens>
void tile(const float* w, std::int64_t cols, const float* x, std::int64_t x_stride, float* y, std::int64_t y_stride) {
  __m256 low[rows][tokens], high[rows][tokens];
  for (int r = 0; r < rows; ++r) {
    for (int t = 0; t < tokens; ++t) low[r][t] = high[r][t] = _mm256_setzero_ps();
  }
  std::int64_t c = 0;
  for (; c + float_lanes <= cols; c += float_lanes) {
    for (int r = 0; r < rows; ++r) {
      const __m256 w0 = _mm256_loadu_ps(w + r * cols + c), w1 = _mm256_loadu_ps(w + r * cols + c + 8);
      for (int t = 0; t < tokens; ++t) {
        low[r][t] = _mm256_add_ps(low[r][t], _mm256_mul_ps(w0, _mm256_loadu_ps(x + t * x_stride + c)));
        high[r][t] = _mm256_add_ps(high[r][t], _mm256_mul_ps(w1, _mm256_loadu_ps(x + t * x_stride + c + 8)));
      }
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int t = 0; t < tokens; ++t) {
      y[t * y_stride + r] = finish(low[r][t], high[r][t], w + r * cols, x + t * x_stride, c, cols);
    }
  }
}

template <int rows>
void rows_times_tokens(const float* w, std::int64_t cols, const float* x, std::int64_t tokens, std::int64_t x_stride, float* y,
                       std::int64_t y_stride) {
  std::int64_t t = 0;
  for (; t + 2 <= tokens; t += 2) tile<rows, 2>(w, cols, x + t * x_stride, x_stride, y + t * y_stride, y_stride);
  if (t < tokens) tile<rows, 1>(w, cols, x + t * x_stride, x_stride, y + t * y_stride, y_stride);
}

// One token against half-precision rows, converted in registers: what the head of a decode step costs is its bytes.
float half_dot(const std::uint16_t* w, const float* x, std::int64_t cols) {
  __m256 low = _mm256_setzero_ps(), high = _mm256_setzero_ps();
  std::int64_t c = 0;
  for (; c + float_lanes <= cols; c += float_lanes) {
    const __m256 w0 = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w + c)));
    const __m256 w1 = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w + c + 8)));
    low = _mm256_add_ps(low, _mm256_mul_ps(w0, _mm256_loadu_ps(x + c)));
    high = _mm256_add_ps(high, _mm256_mul_ps(w1, _mm256_loadu_ps(x + c + 8)));
  }
  float tail[float_lanes];
  for (std::int64_t i = 0; c + i < cols; ++i) tail[i] = block_half(w[c + i]);
  return finish(low, high, tail - c, x, c, cols);
}

}  // namespace

void decode(DataType type, const std::byte* blocks, std::int64_t n, float* y) noexcept {
  if (type != DataType::f16) return decode_row(type, blocks, n, y);
  const auto* half = reinterpret_cast<const std::uint16_t*>(blocks);
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(half + i))));
  }
  decode_row(type, blocks + 2 * i, n - i, y + i);
}

void dense_matmul(const DenseMatrix& w, std::int64_t begin, std::int64_t end, const float* x, std::int64_t tokens,
                  std::int64_t x_stride, float* y, std::int64_t y_stride, std::byte* scratch) noexcept {
  if (w.type == DataType::f16 && tokens == 1) {
    for (std::int64_t r = begin; r < end; ++r) {
      y[r] = half_dot(reinterpret_cast<const std::uint16_t*>(w.data + r * w.row_bytes), x, w.cols);
    }
    return;
  }
  auto* rows = reinterpret_cast<float*>(scratch);  // (2, cols)
  std::int64_t r = begin;
  for (; r + 2 <= end; r += 2) {
    decode(w.type, w.data + r * w.row_bytes, w.cols, rows);
    decode(w.type, w.data + (r + 1) * w.row_bytes, w.cols, rows + w.cols);
    rows_times_tokens<2>(rows, w.cols, x, tokens, x_stride, y + r, y_stride);
  }
  if (r == end) return;
  decode(w.type, w.data + r * w.row_bytes, w.cols, rows);
  rows_times_tokens<1>(rows, w.cols, x, tokens, x_stride, y + r, y_stride);
}

}  // namespace bitnet::avx2
