// Rope, gated activations, additions and softmax, four floats at a time.
#include "kernels/gelu.h"
#include "kernels/neon/ops.h"
#include "kernels/neon/vector.h"
#include "kernels/scalar/ops.h"

namespace bitnet::neon {
namespace {

float32x4_t relu2(float32x4_t g, float32x4_t u) {
  const uint32x4_t closed = vcleq_f32(g, vdupq_n_f32(0.0f));  // not where g is NaN
  return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(vmulq_f32(vmulq_f32(g, g), u)), closed));
}

float32x4_t silu(float32x4_t g, float32x4_t u) {
  return vmulq_f32(vdivq_f32(g, vaddq_f32(vdupq_n_f32(1.0f), exp4(vnegq_f32(g)))), u);
}

float32x4_t gelu(float32x4_t g, float32x4_t u) {
  const float32x4_t inner = vaddq_f32(vdupq_n_f32(gelu_linear), vmulq_f32(vdupq_n_f32(gelu_cubic), vmulq_f32(g, g)));
  return vmulq_f32(vdivq_f32(g, vaddq_f32(vdupq_n_f32(1.0f), exp4(vmulq_f32(g, inner)))), u);
}

template <class Gate>
std::int64_t gate_with(const Gate& gated, const float* gate, const float* up, std::int64_t n, float* y) {
  std::int64_t i = 0;
  for (; i + 4 <= n; i += 4) vst1q_f32(y + i, gated(vld1q_f32(gate + i), vld1q_f32(up + i)));
  return i;
}

}  // namespace

void rope(float* x, std::int64_t heads, std::int64_t head_dim, std::int64_t rope_dim, RopeKind kind, const float* cos,
          const float* sin) noexcept {
  const std::int64_t half = rope_dim / 2;
  if (kind != RopeKind::neox || half % 4 != 0) return scalar::rope(x, heads, head_dim, rope_dim, kind, cos, sin);
  for (std::int64_t h = 0; h < heads; ++h) {
    float* head = x + h * head_dim;
    for (std::int64_t i = 0; i < half; i += 4) {
      const float32x4_t a = vld1q_f32(head + i), b = vld1q_f32(head + half + i);
      const float32x4_t c = vld1q_f32(cos + i), s = vld1q_f32(sin + i);
      vst1q_f32(head + i, vsubq_f32(vmulq_f32(a, c), vmulq_f32(b, s)));
      vst1q_f32(head + half + i, vaddq_f32(vmulq_f32(b, c), vmulq_f32(a, s)));
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
  for (; i + 4 <= n; i += 4) vst1q_f32(x + i, vaddq_f32(vld1q_f32(x + i), vld1q_f32(y + i)));
  for (; i < n; ++i) x[i] += y[i];
}

void scale(float* x, float factor, std::int64_t n) noexcept {
  std::int64_t i = 0;
  for (; i + 4 <= n; i += 4) vst1q_f32(x + i, vmulq_f32(vld1q_f32(x + i), vdupq_n_f32(factor)));
  for (; i < n; ++i) x[i] *= factor;
}

void softmax(float* x, std::int64_t n) noexcept {
  const std::int64_t whole = n / float_lanes * float_lanes;
  if (whole == 0) return scalar::softmax(x, n);
  float32x4_t largest = vld1q_f32(x);
  for (std::int64_t i = 4; i < whole; i += 4) largest = larger(vld1q_f32(x + i), largest);
  float parts[4];
  vst1q_f32(parts, largest);
  float max = parts[0];
  for (const float part : parts) max = part > max ? part : max;
  for (std::int64_t i = whole; i < n; ++i) max = x[i] > max ? x[i] : max;

  Lanes sums = zero_lanes();
  for (std::int64_t i = 0; i < whole; i += float_lanes) {
    for (int v = 0; v < 4; ++v) {
      const float32x4_t e = exp4(vsubq_f32(vld1q_f32(x + i + 4 * v), vdupq_n_f32(max)));
      vst1q_f32(x + i + 4 * v, e);
      sums.v[v] = vaddq_f32(sums.v[v], e);
    }
  }
  float lanes[float_lanes], tail[float_lanes] = {};
  store_lanes(sums, lanes);
  for (std::int64_t i = whole; i < n; ++i) tail[i - whole] = x[i] - max;
  for (int i = 0; i < float_lanes; i += 4) vst1q_f32(tail + i, exp4(vld1q_f32(tail + i)));
  for (std::int64_t i = whole; i < n; ++i) {
    x[i] = tail[i - whole];
    lanes[i - whole] += x[i];
  }
  const float sum = bitnet::lane_sum(lanes);
  for (std::int64_t i = 0; i < n; ++i) x[i] /= sum;
}

}  // namespace bitnet::neon
