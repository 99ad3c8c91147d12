// Dot products of rows of 6-bit codes; the two bytes of an input are multiplied apart.
#include <arm_neon.h>

#include "kernels/neon/ops.h"

namespace bitnet::neon {
namespace {

// The codes of columns 64 p + (0 to 15) of a quarter of a block in codes[p].
void unpack_quarter(const std::uint8_t* quarter, int8x16_t (&codes)[4]) {
  const uint8x16_t nibble = vdupq_n_u8(0x0f), top = vdupq_n_u8(0x30);
  const uint8x16_t first = vld1q_u8(quarter), second = vld1q_u8(quarter + 64), tops = vld1q_u8(quarter + 128);
  const auto join = [&](uint8x16_t low, uint8x16_t high) { return vreinterpretq_s8_u8(vorrq_u8(low, vandq_u8(high, top))); };
  codes[0] = join(vandq_u8(first, nibble), vshlq_n_u8(tops, 4));
  codes[1] = join(vandq_u8(second, nibble), vshlq_n_u8(tops, 2));
  codes[2] = join(vshrq_n_u8(first, 4), tops);
  codes[3] = join(vshrq_n_u8(second, 4), vshrq_n_u8(tops, 2));
}

// Codes times one byte of an input; a lane of 16 bits holds eight products of at most 63 * 64 = 4032.
int32x4_t add_products(int32x4_t sum, const int8x16_t (&codes)[4], const std::int8_t* x) {
  int16x8_t acc = vdupq_n_s16(0);
  for (int p = 0; p < 4; ++p) {
    const int8x16_t bytes = vld1q_s8(x + 64 * p);
    acc = vmlal_high_s8(vmlal_s8(acc, vget_low_s8(codes[p]), vget_low_s8(bytes)), codes[p], bytes);
  }
  return vpadalq_s16(sum, acc);
}

std::int32_t scan_row(const std::uint8_t* row, std::int64_t cols, const std::int8_t* x) {
  int32x4_t high = vdupq_n_s32(0), low = high;
  for (std::int64_t c = 0; c < cols; c += six_bit_block_cols, row += six_bit_block_bytes) {
    for (int quarter = 0; quarter < 64; quarter += 16) {
      int8x16_t codes[4];
      unpack_quarter(row + quarter, codes);
      high = add_products(high, codes, x + c + quarter);
      low = add_products(low, codes, x + cols + c + quarter);
    }
  }
  return vaddvq_s32(vaddq_s32(vshlq_n_s32(high, 7), low));
}

}  // namespace

void six_bit_scan(const std::uint8_t* rows, std::int64_t cols, std::int64_t begin, std::int64_t end, const std::int8_t* x,
                  std::int64_t inputs, std::int32_t* y, std::int64_t y_stride) noexcept {
  const std::int64_t row_bytes = cols / six_bit_block_cols * six_bit_block_bytes;
  for (std::int64_t r = begin; r < end; ++r) {
    for (std::int64_t i = 0; i < inputs; ++i)
      y[i * y_stride + r - begin] = scan_row(rows + r * row_bytes, cols, x + 2 * i * cols);
  }
}

}  // namespace bitnet::neon
