// Dense matmul over weights decoded to float32: the definition.
#include "kernels/block_decode.h"
#include "kernels/lanes.h"
#include "kernels/scalar/ops.h"

namespace bitnet::scalar {

void decode(DataType type, const std::byte* blocks, std::int64_t n, float* y) noexcept { decode_row(type, blocks, n, y); }

void dense_matmul(const DenseMatrix& w, std::int64_t begin, std::int64_t end, const float* x, std::int64_t tokens,
                  std::int64_t x_stride, float* y, std::int64_t y_stride, std::byte* scratch) noexcept {
  auto* row = reinterpret_cast<float*>(scratch);  // (cols)
  for (std::int64_t r = begin; r < end; ++r) {
    decode_row(w.type, w.data + r * w.row_bytes, w.cols, row);
    for (std::int64_t t = 0; t < tokens; ++t) {
      float lanes[float_lanes] = {};
      for (std::int64_t c = 0; c < w.cols; ++c) lanes[c % float_lanes] += row[c] * x[t * x_stride + c];
      y[t * y_stride + r] = lane_sum(lanes);
    }
  }
}

}  // namespace bitnet::scalar
