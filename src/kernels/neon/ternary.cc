// Ternary matmul with multiply-accumulate into 16 bits, which every 64-bit ARM CPU has.
#include "kernels/neon/codes.h"
#include "kernels/neon/ops.h"

namespace bitnet::neon {
namespace {

// A product is at most 2 * 128 = 256, so a 16-bit lane holds 127 of them. Each line adds 16 to a lane of either half: widen
// after four lines (64).
constexpr std::int64_t lines_per_widening = 4;

struct Pair {
  int16x8_t low, high;
};

void add_products(Pair& acc, int8x16_t codes, int8x16_t x) {
  acc.low = vmlal_s8(acc.low, vget_low_s8(codes), vget_low_s8(x));
  acc.high = vmlal_high_s8(acc.high, codes, x);
}

struct MultiplyAdd : SignedCodes {
  static void dot(const Rows& rows, std::int64_t lines, const std::int8_t* q, std::int32_t out[streams]) {
    int32x4_t sums[streams] = {};
    for (std::int64_t l = 0; l < lines; l += lines_per_widening) {
      const std::int64_t end = l + lines_per_widening < lines ? l + lines_per_widening : lines;
      Pair acc[streams] = {};
      for (std::int64_t i = l; i < end; ++i) {
        const std::int8_t* x = q + i * ternary_line_cols;
        for (int b = 0; b < ternary_line_bytes; b += 16) {
          const int8x16_t x0 = vld1q_s8(x + b), x1 = vld1q_s8(x + 64 + b), x2 = vld1q_s8(x + 128 + b),
                          x3 = vld1q_s8(x + 192 + b);
          for (int r = 0; r < streams; ++r) {
            const uint8x16_t bytes = vld1q_u8(rows.at[r] + i * ternary_line_bytes + b);
            add_products(acc[r], codes_of<0>(bytes), x0), add_products(acc[r], codes_of<1>(bytes), x1);
            add_products(acc[r], codes_of<2>(bytes), x2), add_products(acc[r], codes_of<3>(bytes), x3);
          }
        }
      }
      for (int r = 0; r < streams; ++r) sums[r] = vpadalq_s16(vpadalq_s16(sums[r], acc[r].low), acc[r].high);
    }
    for (int r = 0; r < streams; ++r) out[r] = vaddvq_s32(sums[r]);
  }

  // code . q for 4 unpacked rows and `tokens` tokens, two rows at a time: the accumulators of four would not fit the registers.
  template <int tokens>
  static void tile_dot(const std::int8_t* codes, std::int64_t cols, std::int64_t stride, const std::int8_t* q,
                       std::int32_t out[4][tokens]) {
    constexpr std::int64_t block = lines_per_widening * ternary_line_cols;
    for (int row = 0; row < 4; row += 2, codes += 2 * stride) {
      int32x4_t sums[2][tokens] = {};
      for (std::int64_t c = 0; c < cols; c += block) {
        const std::int64_t end = c + block < cols ? c + block : cols;
        Pair acc[2][tokens] = {};
        for (std::int64_t i = c; i < end; i += 16) {
          const int8x16_t w0 = vld1q_s8(codes + i), w1 = vld1q_s8(codes + stride + i);
          for (int t = 0; t < tokens; ++t) {
            const int8x16_t x = vld1q_s8(q + t * stride + i);
            add_products(acc[0][t], w0, x), add_products(acc[1][t], w1, x);
          }
        }
        for (int r = 0; r < 2; ++r) {
          for (int t = 0; t < tokens; ++t) sums[r][t] = vpadalq_s16(vpadalq_s16(sums[r][t], acc[r][t].low), acc[r][t].high);
        }
      }
      for (int r = 0; r < 2; ++r) {
        for (int t = 0; t < tokens; ++t) out[row + r][t] = vaddvq_s32(sums[r][t]);
      }
    }
  }
};

}  // namespace

void ternary_matmul(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                    std::int64_t y_stride, std::byte* scratch) noexcept {
  multiply_ternary<MultiplyAdd>(w, begin, end, x, y, y_stride, scratch);
}

void ternary_rows(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const QuantisedRows& x,
                  float* y) noexcept {
  multiply_ternary_rows<MultiplyAdd>(w, rows, count, x, y);
}

}  // namespace bitnet::neon
