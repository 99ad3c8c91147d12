// Ternary matmul with smmla, which multiplies 2 rows by 2 tokens over 8 columns: twice sdot's rate. One token goes by sdot.
#include "kernels/dotprod/dot.h"
#include "kernels/i8mm/ops.h"

namespace bitnet::i8mm {
namespace {

struct Matrix : SdotCodes {
  // Eight columns of two neighbouring rows, as smmla wants them; `second` repeats the first where there is no other.
  static int8x16_t pair(const std::int8_t* first, const std::int8_t* second) {
    return vcombine_s8(vld1_s8(first), vld1_s8(second));
  }

  template <int tokens>
  static void tile_dot(const std::int8_t* codes, std::int64_t cols, std::int64_t stride, const std::int8_t* q,
                       std::int32_t out[4][tokens]) {
    constexpr int token_pairs = (tokens + 1) / 2;
    int32x4_t sums[2][token_pairs] = {};  // row 0 token 0, row 0 token 1, row 1 token 0, row 1 token 1
    for (std::int64_t i = 0; i < cols; i += 8) {
      int8x16_t x[token_pairs];
      for (int t = 0; t < token_pairs; ++t) {
        const std::int8_t* first = q + 2 * t * stride + i;
        x[t] = pair(first, 2 * t + 1 < tokens ? first + stride : first);
      }
      for (int r = 0; r < 2; ++r) {
        const int8x16_t w = pair(codes + 2 * r * stride + i, codes + (2 * r + 1) * stride + i);
        for (int t = 0; t < token_pairs; ++t) sums[r][t] = vmmlaq_s32(sums[r][t], w, x[t]);
      }
    }
    for (int r = 0; r < 2; ++r) {
      for (int t = 0; t < token_pairs; ++t) {
        std::int32_t parts[4];
        vst1q_s32(parts, sums[r][t]);
        for (int token = 0; token < 2 && 2 * t + token < tokens; ++token) {
          out[2 * r][2 * t + token] = parts[token], out[2 * r + 1][2 * t + token] = parts[2 + token];
        }
      }
    }
  }
};

}  // namespace

void ternary_matmul(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                    std::int64_t y_stride, std::byte* scratch) noexcept {
  multiply_ternary<Matrix>(w, begin, end, x, y, y_stride, scratch);
}

void ternary_rows(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const QuantisedRows& x,
                  float* y) noexcept {
  multiply_ternary_rows<Matrix>(w, rows, count, x, y);
}

}  // namespace bitnet::i8mm
