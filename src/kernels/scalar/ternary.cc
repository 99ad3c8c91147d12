// Ternary matmul: the definition.
#include "kernels/scalar/ops.h"

namespace bitnet::scalar {
namespace {

// w[row] . q over all columns, as an exact integer.
std::int32_t dot(const TernaryMatrix& w, std::int64_t row, const std::int8_t* q) {
  const std::int64_t lines = w.cols / ternary_line_cols;
  std::int32_t sum = 0;
  for (std::int64_t l = 0; l < lines; ++l) {
    const std::uint8_t* line = w.lines + (row * lines + l) * ternary_line_bytes;
    const std::int8_t* x = q + l * ternary_line_cols;
    for (int p = 0; p < 4; ++p) {
      for (int b = 0; b < 64; ++b) sum += ((line[b] >> (2 * p) & 3) - 1) * x[64 * p + b];
    }
  }
  return sum;
}

}  // namespace

void ternary_matmul(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                    std::int64_t y_stride, std::byte* /*scratch*/) noexcept {
  for (std::int64_t t = 0; t < x.tokens; ++t) {
    for (std::int64_t r = begin; r < end; ++r) {
      y[t * y_stride + r] = static_cast<float>(dot(w, r, x.q + t * x.cols)) / x.scales[t] * w.scales[r];
    }
  }
}

void ternary_rows(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const QuantisedRows& x,
                  float* y) noexcept {
  for (std::int64_t i = 0; i < count; ++i) {
    y[rows[i]] = static_cast<float>(dot(w, rows[i], x.q)) / x.scales[0] * w.scales[rows[i]];
  }
}

}  // namespace bitnet::scalar
