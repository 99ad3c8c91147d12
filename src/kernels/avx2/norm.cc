// RMSNorm and int8 activation quantisation, eight floats at a time.
#include "kernels/avx2/ops.h"
#include "kernels/avx2/vector.h"

namespace bitnet::avx2 {
namespace {

float inverse_rms(const float* x, float eps, std::int64_t n) {
  __m256 low = _mm256_setzero_ps(), high = _mm256_setzero_ps();
  std::int64_t i = 0;
  for (; i + float_lanes <= n; i += float_lanes) {
    const __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + 8);
    low = _mm256_add_ps(low, _mm256_mul_ps(a, a));
    high = _mm256_add_ps(high, _mm256_mul_ps(b, b));
  }
  float lanes[float_lanes];
  _mm256_storeu_ps(lanes, low), _mm256_storeu_ps(lanes + 8, high);
  for (; i < n; ++i) lanes[i % float_lanes] += x[i] * x[i];
  const float mean = bitnet::lane_sum(lanes) / static_cast<float>(n);
  return 1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(mean + eps)));
}

// What is quantised: the vector itself, or its norm, computed anew in each pass because that is cheaper than storing it.
struct Plain {
  const float* x;
  __m256 vector(std::int64_t i) const { return _mm256_loadu_ps(x + i); }
  float one(std::int64_t i) const { return x[i]; }
};
struct Normed {
  const float* x;
  const float* gain;
  float inverse;
  __m256 vector(std::int64_t i) const {
    return _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(inverse)), _mm256_loadu_ps(gain + i));
  }
  float one(std::int64_t i) const { return x[i] * inverse * gain[i]; }
};

template <class Source>
std::uint32_t largest_magnitude(const Source& source, std::int64_t n) {
  const __m256i mask = _mm256_set1_epi32(0x7fffffff);
  __m256i largest = _mm256_setzero_si256();
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) largest = _mm256_max_epi32(largest, _mm256_and_si256(_mm256_castps_si256(source.vector(i)), mask));
  alignas(32) std::int32_t parts[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(parts), largest);
  std::int32_t result = 0;
  for (const std::int32_t part : parts) result = part > result ? part : result;
  for (; i < n; ++i) {
    const auto m = static_cast<std::int32_t>(__builtin_bit_cast(std::uint32_t, source.one(i)) & 0x7fffffffu);
    result = m > result ? m : result;
  }
  return static_cast<std::uint32_t>(result);
}

// Eight values times scale, clamped (NaN to -128) and rounded half to even, as int32.
__m256i round8(__m256 x, __m256 scale) {
  x = _mm256_mul_ps(x, scale);
  x = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(-128.0f)), _mm256_set1_ps(127.0f));
  return _mm256_cvtps_epi32(x);
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
  const __m256 scales = _mm256_set1_ps(s);
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);  // packs work inside 128-bit halves
  __m256i sums = _mm256_setzero_si256();
  std::int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const __m256i a = round8(source.vector(i), scales), b = round8(source.vector(i + 8), scales);
    const __m256i c = round8(source.vector(i + 16), scales), d = round8(source.vector(i + 24), scales);
    sums = _mm256_add_epi32(sums, _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d)));
    const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(q + i), _mm256_permutevar8x32_epi32(bytes, order));
  }
  alignas(32) std::int32_t parts[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(parts), sums);
  std::int32_t total = 0;
  for (const std::int32_t part : parts) total += part;
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
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(y + i, normed.vector(i));
  for (; i < n; ++i) y[i] = normed.one(i);
}

void quantise(const float* x, std::int64_t n, std::int64_t padded, std::int8_t* q, float* scale, std::int32_t* sum) noexcept {
  quantise_source(Plain{x}, n, padded, q, scale, sum);
}

void rms_norm_quantise(const float* x, const float* gain, float eps, std::int64_t n, std::int64_t padded, std::int8_t* q,
                       float* scale, std::int32_t* sum) noexcept {
  quantise_source(Normed{x, gain, inverse_rms(x, eps, n)}, n, padded, q, scale, sum);
}

}  // namespace bitnet::avx2
