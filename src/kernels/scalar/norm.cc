// RMSNorm and int8 activation quantisation: the definition.
#include "kernels/kernel_table.h"
#include "kernels/lanes.h"
#include "kernels/scalar/ops.h"

namespace bitnet::scalar {
namespace {

// 1 / sqrt(mean(x^2) + eps)
float inverse_rms(const float* x, float eps, std::int64_t n) {
  float lanes[float_lanes] = {};
  for (std::int64_t i = 0; i < n; ++i) lanes[i % float_lanes] += x[i] * x[i];
  return 1.0f / __builtin_sqrtf(lane_sum(lanes) / static_cast<float>(n) + eps);
}

// Magnitudes compare as integers: that orders non-negative floats and puts NaN above infinity, so that NaN is never lost.
std::uint32_t magnitude(float x) { return __builtin_bit_cast(std::uint32_t, x) & 0x7fffffffu; }

float activation_scale(std::uint32_t largest) {
  const float absmax = __builtin_bit_cast(float, largest);
  return 127.0f / (absmax < 1e-5f ? 1e-5f : absmax);
}

std::int8_t to_int8(float x) {
  x = x > -128.0f ? x : -128.0f;  // NaN too
  x = x < 127.0f ? x : 127.0f;
  const float shifted = x + 0x1.8p23f;  // rounds half to even; the integer is in the low bits
  return static_cast<std::int8_t>(__builtin_bit_cast(std::uint32_t, shifted) & 0xff);
}

}  // namespace

void rms_norm(const float* x, const float* gain, float eps, std::int64_t n, float* y) noexcept {
  const float inverse = inverse_rms(x, eps, n);
  for (std::int64_t i = 0; i < n; ++i) y[i] = x[i] * inverse * gain[i];
}

void quantise(const float* x, std::int64_t n, std::int64_t padded, std::int8_t* q, float* scale, std::int32_t* sum) noexcept {
  std::uint32_t largest = 0;
  for (std::int64_t i = 0; i < n; ++i) largest = magnitude(x[i]) > largest ? magnitude(x[i]) : largest;
  const float s = activation_scale(largest);
  std::int32_t total = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    q[i] = to_int8(x[i] * s);
    total += q[i];
  }
  for (std::int64_t i = n; i < padded; ++i) q[i] = 0;
  *scale = s, *sum = total;
}

void rms_norm_quantise(const float* x, const float* gain, float eps, std::int64_t n, std::int64_t padded, std::int8_t* q,
                       float* scale, std::int32_t* sum) noexcept {
  const float inverse = inverse_rms(x, eps, n);
  std::uint32_t largest = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint32_t m = magnitude(x[i] * inverse * gain[i]);
    largest = m > largest ? m : largest;
  }
  const float s = activation_scale(largest);
  std::int32_t total = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    q[i] = to_int8(x[i] * inverse * gain[i] * s);
    total += q[i];
  }
  for (std::int64_t i = n; i < padded; ++i) q[i] = 0;
  *scale = s, *sum = total;
}

}  // namespace bitnet::scalar
