// Sums of ternary rows times integers: the definition.
#include "kernels/scalar/ops.h"

namespace bitnet::scalar {

void ternary_combine(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const std::int8_t* q,
                     std::int32_t* sums) noexcept {
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t l = 0; l < w.cols / ternary_line_cols; ++l) {
      const std::uint8_t* line = w.lines + (rows[i] * (w.cols / ternary_line_cols) + l) * ternary_line_bytes;
      for (int p = 0; p < 4; ++p) {
        for (int b = 0; b < 64; ++b) sums[l * ternary_line_cols + 64 * p + b] += ((line[b] >> (2 * p) & 3) - 1) * q[rows[i]];
      }
    }
  }
}

}  // namespace bitnet::scalar
