// Dot products of int8 rows with 16-bit integers, and what such rows lost: the definition.
#include "kernels/lanes.h"
#include "kernels/scalar/ops.h"

namespace bitnet::scalar {

void int8_scan(const std::int8_t* rows, std::int64_t cols, std::int64_t begin, std::int64_t end, const std::int16_t* x,
               std::int64_t inputs, std::int32_t* y, std::int64_t y_stride) noexcept {
  for (std::int64_t i = 0; i < inputs; ++i) {
    for (std::int64_t r = begin; r < end; ++r) {
      std::int32_t sum = 0;
      for (std::int64_t c = 0; c < cols; ++c) sum += rows[r * cols + c] * x[i * cols + c];
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
