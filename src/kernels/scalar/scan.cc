// Dot products of rows of 6-bit codes, and what int8 rows lost: the definition.
#include "kernels/lanes.h"
#include "kernels/scalar/ops.h"

namespace bitnet::scalar {

namespace {

void unpack(const std::uint8_t* block, std::uint8_t (&codes)[six_bit_block_cols]) {
  for (int c = 0; c < six_bit_block_cols; ++c) {
    const int low = block[c % 128] >> (c / 128 * 4) & 15, high = block[128 + c % 64] >> (c / 64 * 2) & 3;
    codes[c] = static_cast<std::uint8_t>(low | high << 4);
  }
}

}  // namespace

void six_bit_scan(const std::uint8_t* rows, std::int64_t cols, std::int64_t begin, std::int64_t end, const std::int8_t* x,
                  std::int64_t inputs, std::int32_t* y, std::int64_t y_stride) noexcept {
  const std::int64_t blocks = cols / six_bit_block_cols;
  for (std::int64_t r = begin; r < end; ++r) {
    for (std::int64_t i = 0; i < inputs; ++i) y[i * y_stride + r - begin] = 0;
    for (std::int64_t b = 0; b < blocks; ++b) {
      std::uint8_t codes[six_bit_block_cols];
      unpack(rows + (r * blocks + b) * six_bit_block_bytes, codes);
      for (std::int64_t i = 0; i < inputs; ++i) {
        const std::int8_t *high = x + 2 * i * cols + b * six_bit_block_cols, *low = high + cols;
        for (int c = 0; c < six_bit_block_cols; ++c) y[i * y_stride + r - begin] += codes[c] * (128 * high[c] + low[c]);
      }
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
