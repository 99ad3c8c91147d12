// NEON forms of the pieces that several kernels share: lane sums and exp, operation by operation as in scalar/.
#pragma once

#include <arm_neon.h>

#include "kernels/lanes.h"

namespace bitnet::neon {

// Sixteen lanes as four registers.
struct Lanes {
  float32x4_t v[4];
};

static inline Lanes zero_lanes() {
  const float32x4_t zero = vdupq_n_f32(0.0f);
  return {{zero, zero, zero, zero}};
}

static inline void store_lanes(const Lanes& lanes, float* out) {
  for (int i = 0; i < 4; ++i) vst1q_f32(out + 4 * i, lanes.v[i]);
}

static inline float lane_sum(const Lanes& lanes) {
  const float32x4_t four = vaddq_f32(vaddq_f32(lanes.v[0], lanes.v[2]), vaddq_f32(lanes.v[1], lanes.v[3]));
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

static inline float32x4_t exp4(float32x4_t x) {
  const float32x4_t shift = vdupq_n_f32(0x1.8p23f);
  const float32x4_t shifted = vaddq_f32(vmulq_f32(x, vdupq_n_f32(0x1.715476p+0f)), shift);
  const float32x4_t k = vsubq_f32(shifted, shift);
  const float32x4_t r =
      vsubq_f32(vsubq_f32(x, vmulq_f32(k, vdupq_n_f32(0x1.62e4p-1f))), vmulq_f32(k, vdupq_n_f32(0x1.7f7d1cp-20f)));
  float32x4_t p = vdupq_n_f32(0x1.a01a02p-13f);
  for (const float c : {0x1.6c16c2p-10f, 0x1.111112p-7f, 0x1.555556p-5f, 0x1.555556p-3f, 0.5f, 1.0f, 1.0f}) {
    p = vaddq_f32(vmulq_f32(p, r), vdupq_n_f32(c));
  }
  const int32x4_t power = vshlq_n_s32(vaddq_s32(vreinterpretq_s32_f32(shifted), vdupq_n_s32(127)), 23);
  float32x4_t y = vmulq_f32(p, vreinterpretq_f32_s32(power));
  y = vbslq_f32(vcltq_f32(x, vdupq_n_f32(-87.0f)), vdupq_n_f32(0.0f), y);
  y = vbslq_f32(vcgtq_f32(x, vdupq_n_f32(88.0f)), vdupq_n_f32(__builtin_inff()), y);
  return vbslq_f32(vceqq_f32(x, x), y, x);
}

static inline float32x4_t load_half(const std::uint16_t* p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }

// a > b ? a : b, which keeps b where either is NaN.
static inline float32x4_t larger(float32x4_t a, float32x4_t b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }

}  // namespace bitnet::neon
