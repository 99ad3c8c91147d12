// Dot products of int8 rows with 16-bit integers: bytes widened to 16 bits, multiplied and added to 32.
#include <arm_neon.h>

#include "kernels/neon/ops.h"

namespace bitnet::neon {
namespace {

template <int count>
void scan_rows(const std::int8_t* rows, std::int64_t cols, const std::int16_t* x, std::int32_t* y) {
  int32x4_t sums[count] = {};
  for (std::int64_t c = 0; c < cols; c += 16) {
    const int16x8_t x0 = vld1q_s16(x + c), x1 = vld1q_s16(x + c + 8);
    for (int r = 0; r < count; ++r) {
      const int8x16_t bytes = vld1q_s8(rows + r * cols + c);
      const int16x8_t w0 = vmovl_s8(vget_low_s8(bytes)), w1 = vmovl_high_s8(bytes);
      sums[r] = vmlal_high_s16(vmlal_s16(sums[r], vget_low_s16(w0), vget_low_s16(x0)), w0, x0);
      sums[r] = vmlal_high_s16(vmlal_s16(sums[r], vget_low_s16(w1), vget_low_s16(x1)), w1, x1);
    }
  }
  for (int r = 0; r < count; ++r) y[r] = vaddvq_s32(sums[r]);
}

}  // namespace

void int8_scan(const std::int8_t* rows, std::int64_t cols, std::int64_t begin, std::int64_t end, const std::int16_t* x,
               std::int64_t inputs, std::int32_t* y, std::int64_t y_stride) noexcept {
  for (std::int64_t i = 0; i < inputs; ++i) {
    std::int32_t* out = y + i * y_stride - begin;
    std::int64_t r = begin;
    for (; r + 4 <= end; r += 4) scan_rows<4>(rows + r * cols, cols, x + i * cols, out + r);
    for (; r < end; ++r) scan_rows<1>(rows + r * cols, cols, x + i * cols, out + r);
  }
}

}  // namespace bitnet::neon
