// Rope, gated activations, additions and softmax: the definition.
#include "kernels/gelu.h"
#include "kernels/lanes.h"
#include "kernels/scalar/exp.h"
#include "kernels/scalar/ops.h"

namespace bitnet::scalar {

void rope(float* x, std::int64_t heads, std::int64_t head_dim, std::int64_t rope_dim, RopeKind kind, const float* cos,
          const float* sin) noexcept {
  const std::int64_t half = rope_dim / 2;
  const std::int64_t step = kind == RopeKind::neox ? 1 : 2, partner = kind == RopeKind::neox ? half : 1;
  for (std::int64_t h = 0; h < heads; ++h) {
    float* head = x + h * head_dim;
    for (std::int64_t i = 0; i < half; ++i) {
      const float a = head[i * step], b = head[i * step + partner];
      head[i * step] = a * cos[i] - b * sin[i];
      head[i * step + partner] = b * cos[i] + a * sin[i];
    }
  }
}

void gate(Activation activation, const float* gate, const float* up, std::int64_t n, float* y) noexcept {
  if (activation == Activation::relu2) {
    for (std::int64_t i = 0; i < n; ++i) y[i] = gate[i] <= 0.0f ? 0.0f : gate[i] * gate[i] * up[i];
  } else if (activation == Activation::silu) {
    for (std::int64_t i = 0; i < n; ++i) y[i] = gate[i] / (1.0f + exp(-gate[i])) * up[i];
  } else {
    for (std::int64_t i = 0; i < n; ++i) {
      const float g = gate[i], e = exp(g * (gelu_linear + gelu_cubic * (g * g)));
      y[i] = g / (1.0f + e) * up[i];
    }
  }
}

void add(float* x, const float* y, std::int64_t n) noexcept {
  for (std::int64_t i = 0; i < n; ++i) x[i] += y[i];
}

void scale(float* x, float factor, std::int64_t n) noexcept {
  for (std::int64_t i = 0; i < n; ++i) x[i] *= factor;
}

void softmax(float* x, std::int64_t n) noexcept {
  float max = x[0];
  for (std::int64_t i = 1; i < n; ++i) max = x[i] > max ? x[i] : max;
  float lanes[float_lanes] = {};
  for (std::int64_t i = 0; i < n; ++i) {
    x[i] = exp(x[i] - max);
    lanes[i % float_lanes] += x[i];
  }
  const float sum = lane_sum(lanes);
  for (std::int64_t i = 0; i < n; ++i) x[i] /= sum;
}

}  // namespace bitnet::scalar
