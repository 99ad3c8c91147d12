// Ternary matmul with sdot: four products at a time added to a 32-bit lane, so that nothing can overflow.
#include "kernels/dotprod/dot.h"
#include "kernels/dotprod/ops.h"

namespace bitnet::dotprod {
namespace {

struct Dot : SdotCodes {
  template <int tokens>
  static void tile_dot(const std::int8_t* codes, std::int64_t cols, std::int64_t stride, const std::int8_t* q,
                       std::int32_t out[4][tokens]) {
    int32x4_t sums[4][tokens] = {};
    for (std::int64_t i = 0; i < cols; i += 16) {
      int8x16_t x[tokens];
      for (int t = 0; t < tokens; ++t) x[t] = vld1q_s8(q + t * stride + i);
      for (int r = 0; r < 4; ++r) {
        const int8x16_t w = vld1q_s8(codes + r * stride + i);
        for (int t = 0; t < tokens; ++t) sums[r][t] = vdotq_s32(sums[r][t], w, x[t]);
      }
    }
    for (int r = 0; r < 4; ++r) {
      for (int t = 0; t < tokens; ++t) out[r][t] = vaddvq_s32(sums[r][t]);
    }
  }
};

}  // namespace

void ternary_matmul(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                    std::int64_t y_stride, std::byte* scratch) noexcept {
  multiply_ternary<Dot>(w, begin, end, x, y, y_stride, scratch);
}

void ternary_rows(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const QuantisedRows& x,
                  float* y) noexcept {
  multiply_ternary_rows<Dot>(w, rows, count, x, y);
}

}  // namespace bitnet::dotprod
