// Dense matmul over weights decoded to float32: 16 lanes as four registers, tiles of 2 rows by 2 tokens.
#include "kernels/block_decode.h"
#include "kernels/neon/ops.h"
#include "kernels/neon/vector.h"

namespace bitnet::neon {
namespace {

// Adds columns [c, cols), fewer than 16, to the lanes, and sums them.
float finish(const Lanes& sums, const float* w, const float* x, std::int64_t c, std::int64_t cols) {
  if (c == cols) return lane_sum(sums);
  float lanes[float_lanes];
  store_lanes(sums, lanes);
  for (std::int64_t i = 0; c + i < cols; ++i) lanes[i] += w[c + i] * x[c + i];
  return bitnet::lane_sum(lanes);
}

template <int rows, int tokens>
void tile(const float* w, std::int64_t cols, const float* x, std::int64_t x_stride, float* y, std::int64_t y_stride) {
  Lanes sums[rows][tokens];
  for (int r = 0; r < rows; ++r) {
    for (int t = 0; t < tokens; ++t) sums[r][t] = zero_lanes();
  }
  std::int64_t c = 0;
  for (; c + float_lanes <= cols; c += float_lanes) {
    for (int v = 0; v < 4; ++v) {
      float32x4_t xs[tokens];
      for (int t = 0; t < tokens; ++t) xs[t] = vld1q_f32(x + t * x_stride + c + 4 * v);
      for (int r = 0; r < rows; ++r) {
        const float32x4_t wr = vld1q_f32(w + r * cols + c + 4 * v);
        for (int t = 0; t < tokens; ++t) sums[r][t].v[v] = vaddq_f32(sums[r][t].v[v], vmulq_f32(wr, xs[t]));
      }
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int t = 0; t < tokens; ++t) y[t * y_stride + r] = finish(sums[r][t], w + r * cols, x + t * x_stride, c, cols);
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
  Lanes sums = zero_lanes();
  std::int64_t c = 0;
  for (; c + float_lanes <= cols; c += float_lanes) {
    for (int v = 0; v < 4; ++v) {
      sums.v[v] = vaddq_f32(sums.v[v], vmulq_f32(load_half(w + c + 4 * v), vld1q_f32(x + c + 4 * v)));
    }
  }
  float tail[float_lanes];
  for (std::int64_t i = 0; c + i < cols; ++i) tail[i] = block_half(w[c + i]);
  return finish(sums, tail - c, x, c, cols);
}

}  // namespace

void decode(DataType type, const std::byte* blocks, std::int64_t n, float* y) noexcept {
  if (type != DataType::f16) return decode_row(type, blocks, n, y);
  const auto* half = reinterpret_cast<const std::uint16_t*>(blocks);
  std::int64_t i = 0;
  for (; i + 4 <= n; i += 4) vst1q_f32(y + i, load_half(half + i));
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

}  // namespace bitnet::neon
