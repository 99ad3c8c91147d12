// Dot products of int8 rows with 16-bit integers: the definition.
#include "kernels/scalar/ops.h"

namespace bitnet::scalar {

void int8_scan(const std::int8_t* rows, std::int64_t cols, std::int64_t begin, std::int64_t end, const std::int16_t* x,
               std::int32_t* y) noexcept {
  for (std::int64_t r = begin; r < end; ++r) {
    std::int32_t sum = 0;
    for (std::int64_t c = 0; c < cols; ++c) sum += rows[r * cols + c] * x[c];
    y[r] = sum;
  }
}

}  // namespace bitnet::scalar
