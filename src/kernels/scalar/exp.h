// exp in single precision: the definition that every instruction set repeats operation by operation.
#pragma once

#include <cstdint>

namespace bitnet::scalar {

// Within 2 ulp of the true value; exactly 0 below -87, +infinity above 88, NaN for NaN, 1 at 0.
static inline float exp(float x) {
  if (x != x) return x;
  if (x < -87.0f) return 0.0f;
  if (x > 88.0f) return __builtin_inff();
  const float shifted = x * 0x1.715476p+0f + 0x1.8p23f;  // the integer nearest x / ln 2 is in the low bits
  const float k = shifted - 0x1.8p23f;
  const float r = (x - k * 0x1.62e4p-1f) - k * 0x1.7f7d1cp-20f;  // ln 2 in two parts, the first times k is exact
  float p = 0x1.a01a02p-13f;                                     // 1 / 7!
  p = p * r + 0x1.6c16c2p-10f;                                   // 1 / 6!
  p = p * r + 0x1.111112p-7f;
  p = p * r + 0x1.555556p-5f;
  p = p * r + 0x1.555556p-3f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  // In range, 2^k has an exponent between -126 and 127: its bits are k shifted into place.
  const std::uint32_t power = (__builtin_bit_cast(std::uint32_t, shifted) + 127u) << 23;
  return p * __builtin_bit_cast(float, power);
}

}  // namespace bitnet::scalar
