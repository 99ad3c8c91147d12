// What the ternary kernels of ARM share: the planes of a line, and a line unpacked to bytes.
#pragma once

#include <arm_neon.h>

#include "kernels/ternary_loops.h"

namespace bitnet {
namespace {

// Plane p (0 to 3) of sixteen bytes of a line: the codes of weights 64 p + (0 to 15).
template <int plane>
int8x16_t codes_of(uint8x16_t bytes) {
  if constexpr (plane == 0) {
    return vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(3)));
  } else if constexpr (plane == 3) {
    return vreinterpretq_s8_u8(vshrq_n_u8(bytes, 6));
  } else {
    return vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(bytes, 2 * plane), vdupq_n_u8(3)));
  }
}

// ARM multiplies signed by signed.
struct SignedCodes {
  using Code = std::int8_t;
  static constexpr int tile_rows = 4, tile_tokens = 4;

  static void unpack_line(const std::uint8_t* line, std::int8_t* codes) {
    for (int i = 0; i < ternary_line_bytes; i += 16) {
      const uint8x16_t bytes = vld1q_u8(line + i);
      vst1q_s8(codes + i, codes_of<0>(bytes)), vst1q_s8(codes + 64 + i, codes_of<1>(bytes));
      vst1q_s8(codes + 128 + i, codes_of<2>(bytes)), vst1q_s8(codes + 192 + i, codes_of<3>(bytes));
    }
  }
};

}  // namespace
}  // namespace bitnet
