// One token against four packed rows, by sdot. In an unnamed namespace: each includer has its own flags.
#pragma once

#include "kernels/neon/codes.h"

namespace bitnet {
namespace {

struct SdotCodes : SignedCodes {
  static void dot(const Rows& rows, std::int64_t lines, const std::int8_t* q, std::int32_t out[streams]) {
    int32x4_t sums[streams][2] = {};  // two chains a row, since an sdot waits for the one before
    for (std::int64_t l = 0; l < lines; ++l) {
      const std::int8_t* x = q + l * ternary_line_cols;
      for (int b = 0; b < ternary_line_bytes; b += 16) {
        const int8x16_t x0 = vld1q_s8(x + b), x1 = vld1q_s8(x + 64 + b), x2 = vld1q_s8(x + 128 + b), x3 = vld1q_s8(x + 192 + b);
        for (int r = 0; r < streams; ++r) {
          const uint8x16_t bytes = vld1q_u8(rows.at[r] + l * ternary_line_bytes + b);
          sums[r][0] = vdotq_s32(vdotq_s32(sums[r][0], codes_of<0>(bytes), x0), codes_of<2>(bytes), x2);
          sums[r][1] = vdotq_s32(vdotq_s32(sums[r][1], codes_of<1>(bytes), x1), codes_of<3>(bytes), x3);
        }
      }
    }
    for (int r = 0; r < streams; ++r) out[r] = vaddvq_s32(vaddq_s32(sums[r][0], sums[r][1]));
  }
};

}  // namespace
}  // namespace bitnet
