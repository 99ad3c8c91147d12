// Attention over chunks of positions, and storing keys and values: the definition.
#include "common/half.h"
#include "kernels/lanes.h"
#include "kernels/scalar/exp.h"
#include "kernels/scalar/ops.h"

namespace bitnet::scalar {
namespace {

constexpr std::int64_t positions = kv_chunk_positions;

// Element i as it is stored; int8 without its scale, which is one per position.
float load(KvType type, const std::byte* data, std::int64_t i) {
  switch (type) {
    case KvType::f32:
      return reinterpret_cast<const float*>(data)[i];
    case KvType::f16:
      return f16_to_f32(reinterpret_cast<const std::uint16_t*>(data)[i]);
    case KvType::int8:
      break;
  }
  return static_cast<float>(reinterpret_cast<const std::int8_t*>(data)[i]);
}

// Writes vector (n) with a stride; int8 by its own scale max|x| / 127 (0 for a zero vector), which is returned.
float store(KvType type, const float* vector, std::int64_t n, std::byte* data, std::int64_t first, std::int64_t stride) {
  if (type == KvType::f32) {
    for (std::int64_t i = 0; i < n; ++i) reinterpret_cast<float*>(data)[first + i * stride] = vector[i];
    return 1.0f;
  }
  if (type == KvType::f16) {
    for (std::int64_t i = 0; i < n; ++i) reinterpret_cast<std::uint16_t*>(data)[first + i * stride] = f32_to_f16(vector[i]);
    return 1.0f;
  }
  std::uint32_t largest = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint32_t m = __builtin_bit_cast(std::uint32_t, vector[i]) & 0x7fffffffu;  // NaN is the largest
    largest = m > largest ? m : largest;
  }
  const float absmax = __builtin_bit_cast(float, largest);
  const float inverse = absmax < 1e-30f ? 0.0f : 127.0f / absmax;
  for (std::int64_t i = 0; i < n; ++i) {
    float x = vector[i] * inverse;
    x = x > -127.0f ? x : -127.0f;
    x = x < 127.0f ? x : 127.0f;
    const auto bits = __builtin_bit_cast(std::uint32_t, x + 0x1.8p23f);
    reinterpret_cast<std::int8_t*>(data)[first + i * stride] = static_cast<std::int8_t>(bits & 0xff);
  }
  return absmax < 1e-30f ? 0.0f : absmax / 127.0f;
}

// One query over the positions [hidden, visible) of one chunk, at least one. Scores add over head_dim in order, values over
// positions in order; an int8 key's scale multiplies its score, a value's scale its weight.
void attend_chunk(KvType type, const KvChunk& chunk, const float* q, std::int64_t hidden, std::int64_t visible,
                  std::int64_t head_dim, float& max, float& sum, float* values) {
  float p[positions] = {};
  for (std::int64_t j = 0; j < hidden; ++j) p[j] = -__builtin_inff();
  for (std::int64_t j = hidden; j < visible; ++j) {
    float score = 0.0f;
    for (std::int64_t d = 0; d < head_dim; ++d) score += q[d] * load(type, chunk.keys, d * positions + j);
    p[j] = type == KvType::int8 ? score * chunk.key_scales[j] : score;
  }
  max = p[0];
  for (std::int64_t j = 1; j < visible; ++j) max = p[j] > max ? p[j] : max;
  float lanes[float_lanes] = {};
  for (std::int64_t j = 0; j < visible; ++j) {
    p[j] = exp(p[j] - max);
    lanes[j % float_lanes] += p[j];
    if (type == KvType::int8) p[j] *= chunk.value_scales[j];
  }
  sum = lane_sum(lanes);
  for (std::int64_t d = 0; d < head_dim; ++d) values[d] = 0.0f;
  for (std::int64_t j = 0; j < visible; ++j) {
    for (std::int64_t d = 0; d < head_dim; ++d) values[d] += p[j] * load(type, chunk.values, j * head_dim + d);
  }
}

}  // namespace

void kv_store(KvType type, const float* key, const float* value, std::int64_t head_dim, KvChunk chunk,
              std::int64_t slot) noexcept {
  const float key_scale = store(type, key, head_dim, chunk.keys, slot, positions);
  const float value_scale = store(type, value, head_dim, chunk.values, slot * head_dim, 1);
  if (type == KvType::int8) chunk.key_scales[slot] = key_scale, chunk.value_scales[slot] = value_scale;
}

void attend(KvType type, const KvChunk* chunks, std::int64_t count, const float* q, std::int64_t queries,
            const std::int32_t* hidden, const std::int32_t* visible, std::int64_t head_dim, const AttentionState& state,
            std::byte* scratch) noexcept {
  auto* values = reinterpret_cast<float*>(scratch);  // (head_dim)
  for (std::int64_t i = 0; i < queries; ++i) {
    const AttentionState one{state.max + i, state.sum + i, state.out + i * head_dim};
    *one.max = -__builtin_inff(), *one.sum = 0.0f;
    for (std::int64_t d = 0; d < head_dim; ++d) one.out[d] = 0.0f;
    for (std::int64_t c = 0; c < count && c * positions < visible[i]; ++c) {
      const std::int64_t left = visible[i] - c * positions, seen = left < positions ? left : positions;
      const std::int64_t before = hidden[i] - c * positions, from = before > 0 ? before : 0;
      if (from >= seen) continue;
      float max, sum;
      attend_chunk(type, chunks[c], q + i * head_dim, from, seen, head_dim, max, sum, values);
      merge_states(one, {&max, &sum, values}, 1, head_dim);
    }
  }
}

void merge_states(const AttentionState& into, const AttentionState& from, std::int64_t queries,
                  std::int64_t head_dim) noexcept {
  for (std::int64_t i = 0; i < queries; ++i) {
    if (from.sum[i] == 0.0f) continue;
    float* out = into.out + i * head_dim;
    if (into.sum[i] == 0.0f) {
      into.max[i] = from.max[i], into.sum[i] = from.sum[i];
      for (std::int64_t d = 0; d < head_dim; ++d) out[d] = from.out[i * head_dim + d];
      continue;
    }
    const float merged = from.max[i] > into.max[i] ? from.max[i] : into.max[i];
    const float keep = exp(into.max[i] - merged), take = exp(from.max[i] - merged);
    into.max[i] = merged;
    into.sum[i] = into.sum[i] * keep + from.sum[i] * take;
    for (std::int64_t d = 0; d < head_dim; ++d) out[d] = out[d] * keep + from.out[i * head_dim + d] * take;
  }
}

}  // namespace bitnet::scalar
