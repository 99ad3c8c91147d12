// Gated activations, additions and softmax, eight floats at a time.
#include "kernels/avx2/ops.h"
#include "kernels/avx2/vector.h"
#include "kernels/gelu.h"
#include "kernels/scalar/ops.h"

namespace bitnet::avx2 {
namespace {

__m256 relu2(__m256 g, __m256 u) {
  const __m256 open = _mm256_cmp_ps(g, _mm256_setzero_ps(), _CMP_NLE_UQ);  // also where g is NaN
  return _mm256_and_ps(_mm256_mul_ps(_mm256_mul_ps(g, g), u), open);
}

__m256 silu(__m256 g, __m256 u) {
  const __m256 negated = _mm256_xor_ps(g, _mm256_set1_ps(-0.0f));
  return _mm256_mul_ps(_mm256_div_ps(g, _mm256_add_ps(_mm256_set1_ps(1.0f), exp8(negated))), u);
}

__m256 gelu(__m256 g, __m256 u) {
  const __m256 inner =
      _mm256_add_ps(_mm256_set1_ps(gelu_linear), _mm256_mul_ps(_mm256_set1_ps(gelu_cubic), _mm256_mul_ps(g, g)));
  return _mm256_mul_ps(_mm256_div_ps(g, _mm256_add_ps(_mm256_set1_ps(1.0f), exp8(_mm256_mul_ps(g, inner)))), u);
}

template <class Gate>
std::int64_t gate_with(const Gate& gated, const float* gate, const float* up, std::int64_t n, float* y) {
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(y + i, gated(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i)));
  return i;
}

}  // namespace

void rope(float* x, std::int64_t heads, std::int64_t head_dim, std::int64_t rope_dim, RopeKind kind, const float* cos,
          const float* sin) noexcept {
  const std::int64_t half = rope_dim / 2;
  if (kind != RopeKind::neox || half % 8 != 0) return scalar::rope(x, heads, head_dim, rope_dim, kind, cos, sin);
  for (std::int64_t h = 0; h < heads; ++h) {
    float* head = x + h * head_dim;
    for (std::int64_t i = 0; i < half; i += 8) {
      const __m256 a = _mm256_loadu_ps(head + i), b = _mm256_loadu_ps(head + half + i);
      const __m256 c = _mm256_loadu_ps(cos + i), s = _mm256_loadu_ps(sin + i);
      _mm256_storeu_ps(head + i, _mm256_sub_ps(_mm256_mul_ps(a, c), _mm256_mul_ps(b, s)));
      _mm256_storeu_ps(head + half + i, _mm256_add_ps(_mm256_mul_ps(b, c), _mm256_mul_ps(a, s)));
    }
  }
}

void gate(Activation activation, const float* gate, const float* up, std::int64_t n, float* y) noexcept {
  const std::int64_t i = activation == Activation::relu2  ? gate_with(relu2, gate, up, n, y)
                         : activation == Activation::silu ? gate_with(silu, gate, up, n, y)
                                                          : gate_with(gelu, gate, up, n, y);
  scalar::gate(activation, gate + i, up + i, n - i, y + i);
}

void add(float* x, const float* y, std::int64_t n) noexcept {
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(x + i, _mm256_add_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
  for (; i < n; ++i) x[i] += y[i];
}

void scale(float* x, float factor, std::int64_t n) noexcept {
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(x + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(factor)));
  for (; i < n; ++i) x[i] *= factor;
}

void softmax(float* x, std::int64_t n) noexcept {
  const std::int64_t whole = n / float_lanes * float_lanes;
  if (whole == 0) return scalar::softmax(x, n);
  __m256 largest = _mm256_loadu_ps(x);
  for (std::int64_t i = 8; i < whole; i += 8) largest = _mm256_max_ps(_mm256_loadu_ps(x + i), largest);
  float parts[8];
  _mm256_storeu_ps(parts, largest);
  float max = parts[0];
  for (const float part : parts) max = part > max ? part : max;
  for (std::int64_t i = whole; i < n; ++i) max = x[i] > max ? x[i] : max;

  const __m256 max8 = _mm256_set1_ps(max);
  __m256 low = _mm256_setzero_ps(), high = _mm256_setzero_ps();
  for (std::int64_t i = 0; i < whole; i += float_lanes) {
    const __m256 a = exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i), max8)),
                 b = exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i + 8), max8));
    _mm256_storeu_ps(x + i, a), _mm256_storeu_ps(x + i + 8, b);
    low = _mm256_add_ps(low, a), high = _mm256_add_ps(high, b);
  }
  float lanes[float_lanes];
  _mm256_storeu_ps(lanes, low), _mm256_storeu_ps(lanes + 8, high);
  float tail[float_lanes] = {};
  for (std::int64_t i = whole; i < n; ++i) tail[i - whole] = x[i] - max;
  for (int i = 0; i < float_lanes; i += 8) _mm256_storeu_ps(tail + i, exp8(_mm256_loadu_ps(tail + i)));
  for (std::int64_t i = whole; i < n; ++i) {
    x[i] = tail[i - whole];
    lanes[i - whole] += x[i];
  }
  const float sum = bitnet::lane_sum(lanes);
  for (std::int64_t i = 0; i < n; ++i) x[i] /= sum;
}

}  // namespace bitnet::avx2
