// Dot products of rows of 6-bit codes, and what int8 rows lost: the definition.
#include "kernels/lanes.h"
#include "kernels/scalar/ops.h"

namespace bitnet::scalar {

namespace {

int code_at(const std::uint8_t* row, std::int64_t col) {
  const std::uint8_t* block = row + col / six_bit_block_cols * six_bit_block_bytes;
  const auto c = static_cast<int>(col % six_bit_block_cols);
  return (block[c % 128] >> (c / 128 * 4) & 15) | (block[128 + c % 64] >> (c / 64 * 2) & 3) << 4;
}

}  // namespace

void six_bit_scan(const std::uint8_t* rows, std::int64_t cols, std::int64_t begin, std::int64_t end, const std::int8_t* x,
                  std::int64_t inputs, std::int32_t* y, std::int64_t y_stride) noexcept {
  const std::int64_t row_bytes = cols / six_bit_block_cols * six_bit_block_bytes;
  for (std::int64_t i = 0; i < inputs; ++i) {
    const std::int8_t *high = x + 2 * i * cols, *low = high + cols;
    for (std::int64_t r = begin; r < end; ++r) {
      std::int32_t sum = 0;
      for (std::int64_t c = 0; c < cols; ++c) sum += code_at(rows + r * row_bytes, c) * (128 * high[c] + low[c]);
      y[i * y_stride + r - begin] = sum;
    }
  }
}

void quantisation_error(const float* x, const std::int8_t* q, float step, std::int64_t n, float* squares,
                        float* error_squares) noexcept {
  float lanes[float_lanes] = {}, error_lanes[float_lanes] = {};
  for (std::int64_t i = 0; i < n; ++i) {
    const float error = x[i] - static_cast<float>(q[i]) * step;
    lanes[i % float_lanes] += x[i] * x[i];
    error_lanes[i % float_lanes] += error * error;
  }
  *squares = lane_sum(lanes), *error_squares = lane_sum(error_lanes);
}

}  // namespace bitnet::scalar
