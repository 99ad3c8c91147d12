// RMSNorm and int8 activation quantisation, four floats at a time.
#include "kernels/neon/ops.h"
#include "kernels/neon/vector.h"

namespace bitnet::neon {
namespace {

float inverse_rms(const float* x, float eps, std::int64_t n) {
  Lanes sums = zero_lanes();
  std::int64_t i = 0;
  for (; i + float_lanes <= n; i += float_lanes) {
    for (int v = 0; v < 4; ++v) {
      const float32x4_t a = vld1q_f32(x + i + 4 * v);
      sums.v[v] = vaddq_f32(sums.v[v], vmulq_f32(a, a));
    }
  }
  float lanes[float_lanes];
  store_lanes(sums, lanes);
  for (; i < n; ++i) lanes[i % float_lanes] += x[i] * x[i];
  return 1.0f / __builtin_sqrtf(bitnet::lane_sum(lanes) / static_cast<float>(n) + eps);
}

// What is quantised: the vector itself, or its norm, computed anew in each pass because that is cheaper than storing it.
struct Plain {
  const float* x;
  float32x4_t vector(std::int64_t i) const { return vld1q_f32(x + i); }
  float one(std::int64_t i) const { return x[i]; }
};
struct Normed {
  const float* x;
  const float* gain;
  float inverse;
  float32x4_t vector(std::int64_t i) const {
    return vmulq_f32(vmulq_f32(vld1q_f32(x + i), vdupq_n_f32(inverse)), vld1q_f32(gain + i));
  }
  float one(std::int64_t i) const { return x[i] * inverse * gain[i]; }
};

template <class Source>
std::uint32_t largest_magnitude(const Source& source, std::int64_t n) {
  const int32x4_t mask = vdupq_n_s32(0x7fffffff);
  int32x4_t largest = vdupq_n_s32(0);
  std::int64_t i = 0;
  for (; i + 4 <= n; i += 4) largest = vmaxq_s32(largest, vandq_s32(vreinterpretq_s32_f32(source.vector(i)), mask));
  std::int32_t result = vmaxvq_s32(largest);
  for (; i < n; ++i) {
    const auto m = static_cast<std::int32_t>(__builtin_bit_cast(std::uint32_t, source.one(i)) & 0x7fffffffu);
    result = m > result ? m : result;
  }
  return static_cast<std::uint32_t>(result);
}

// Four values times scale, clamped (NaN to -128) and rounded half to even.
int32x4_t round4(float32x4_t x, float32x4_t scale) {
  x = larger(vmulq_f32(x, scale), vdupq_n_f32(-128.0f));
  const float32x4_t most = vdupq_n_f32(127.0f);
  return vcvtnq_s32_f32(vbslq_f32(vcltq_f32(x, most), x, most));
}

std::int8_t round1(float x) {
  x = x > -128.0f ? x : -128.0f;
  x = x < 127.0f ? x : 127.0f;
  return static_cast<std::int8_t>(__builtin_bit_cast(std::uint32_t, x + 0x1.8p23f) & 0xff);
}

template <class Source>
void quantise_source(const Source& source, std::int64_t n, std::int64_t padded, std::int8_t* q, float* scale,
                     std::int32_t* sum) {
  const float absmax = __builtin_bit_cast(float, largest_magnitude(source, n));
  const float s = 127.0f / (absmax < 1e-5f ? 1e-5f : absmax);
  const float32x4_t scales = vdupq_n_f32(s);
  int32x4_t sums = vdupq_n_s32(0);
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const int32x4_t a = round4(source.vector(i), scales), b = round4(source.vector(i + 4), scales);
    const int32x4_t c = round4(source.vector(i + 8), scales), d = round4(source.vector(i + 12), scales);
    sums = vaddq_s32(sums, vaddq_s32(vaddq_s32(a, b), vaddq_s32(c, d)));
    const int16x8_t low = vcombine_s16(vmovn_s32(a), vmovn_s32(b)), high = vcombine_s16(vmovn_s32(c), vmovn_s32(d));
    vst1q_s8(q + i, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
  }
  std::int32_t total = vaddvq_s32(sums);
  for (; i < n; ++i) {
    q[i] = round1(source.one(i) * s);
    total += q[i];
  }
  for (; i < padded; ++i) q[i] = 0;
  *scale = s, *sum = total;
}

}  // namespace

void rms_norm(const float* x, const float* gain, float eps, std::int64_t n, float* y) noexcept {
  const Normed normed{x, gain, inverse_rms(x, eps, n)};
  std::int64_t i = 0;
  for (; i + 4 <= n; i += 4) vst1q_f32(y + i, normed.vector(i));
  for (; i < n; ++i) y[i] = normed.one(i);
}

void quantise(const float* x, std::int64_t n, std::int64_t padded, std::int8_t* q, float* scale, std::int32_t* sum) noexcept {
  quantise_source(Plain{x}, n, padded, q, scale, sum);
}

void rms_norm_quantise(const float* x, const float* gain, float eps, std::int64_t n, std::int64_t padded, std::int8_t* q,
                       float* scale, std::int32_t* sum) noexcept {
  quantise_source(Normed{x, gain, inverse_rms(x, eps, n)}, n, padded, q, scale, sum);
}

}  // namespace bitnet::neon
