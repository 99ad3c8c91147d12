// Sums of ternary rows times integers, by multiply-accumulate into 16 bits.
#include "kernels/neon/codes.h"
#include "kernels/neon/ops.h"

namespace bitnet::neon {
namespace {

constexpr std::int64_t block_rows = 64;  // of at most 2 * 128 each: a 16-bit lane holds 127

void widen(std::int32_t* sums, int16x8_t acc) {
  vst1q_s32(sums, vaddw_s16(vld1q_s32(sums), vget_low_s16(acc)));
  vst1q_s32(sums + 4, vaddw_high_s16(vld1q_s32(sums + 4), acc));
}

template <int plane>
void add(int16x8_t acc[2], uint8x16_t bytes, int8x8_t x) {
  const int8x16_t codes = codes_of<plane>(bytes);
  acc[0] = vmlal_s8(acc[0], vget_low_s8(codes), x);
  acc[1] = vmlal_s8(acc[1], vget_high_s8(codes), x);
}

// Sixteen bytes of every row of the block: sums[64 p + (0 to 15)] are plane p. `total` is the sum of the rows' q.
void combine_bytes(const std::uint8_t* lines, std::int64_t row_bytes, const std::int32_t* rows, std::int64_t count,
                   const std::int8_t* q, std::int16_t total, std::int32_t* sums) {
  int16x8_t acc[4][2];
  for (auto& plane : acc) plane[0] = plane[1] = vdupq_n_s16(static_cast<std::int16_t>(-total));  // weight = code - 1
  for (std::int64_t i = 0; i < count; ++i) {
    const uint8x16_t bytes = vld1q_u8(lines + rows[i] * row_bytes);
    const int8x8_t x = vdup_n_s8(q[rows[i]]);
    add<0>(acc[0], bytes, x), add<1>(acc[1], bytes, x), add<2>(acc[2], bytes, x), add<3>(acc[3], bytes, x);
  }
  for (int plane = 0; plane < 4; ++plane) {
    widen(sums + 64 * plane, acc[plane][0]);
    widen(sums + 64 * plane + 8, acc[plane][1]);
  }
}

}  // namespace

void ternary_combine(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const std::int8_t* q,
                     std::int32_t* sums) noexcept {
  const std::int64_t row_bytes = w.cols / 4;
  for (std::int64_t first = 0; first < count; first += block_rows) {
    const std::int64_t n = count - first < block_rows ? count - first : block_rows;
    std::int16_t total = 0;
    for (std::int64_t i = 0; i < n; ++i) total = static_cast<std::int16_t>(total + q[rows[first + i]]);
    for (std::int64_t line = 0; line < row_bytes; line += ternary_line_bytes) {
      for (int b = 0; b < ternary_line_bytes; b += 16) {
        combine_bytes(w.lines + line + b, row_bytes, rows + first, n, q, total, sums + 4 * line + b);
      }
    }
  }
}

}  // namespace bitnet::neon
