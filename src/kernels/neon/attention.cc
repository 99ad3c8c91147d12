// Attention over one chunk: positions across the register for scores, head_dim across it for values.
#include "kernels/neon/ops.h"
#include "kernels/neon/vector.h"
#include "kernels/scalar/exp.h"
#include "kernels/scalar/ops.h"

namespace bitnet::neon {
namespace {

constexpr std::int64_t positions = kv_chunk_positions;
constexpr std::int64_t vectors = positions / 4;  // registers that hold one value per position

// Eight int8 as two registers of float32, times `scale`.
void scaled_int8(const std::int8_t* p, float32x4_t low_scale, float32x4_t high_scale, float* out) {
  const int16x8_t wide = vmovl_s8(vld1_s8(p));
  vst1q_f32(out, vmulq_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide))), low_scale));
  vst1q_f32(out + 4, vmulq_f32(vcvtq_f32_s32(vmovl_s16(vget_high_s16(wide))), high_scale));
}

// The chunk's keys (head_dim, 64) as float32: as they lie, or converted into `buffer`.
const float* keys_f32(KvType type, const KvChunk& chunk, std::int64_t head_dim, float* buffer) {
  if (type == KvType::f32) return reinterpret_cast<const float*>(chunk.keys);
  for (std::int64_t i = 0; i < head_dim * positions; i += 8) {
    if (type == KvType::f16) {
      const auto* keys = reinterpret_cast<const std::uint16_t*>(chunk.keys) + i;
      vst1q_f32(buffer + i, load_half(keys)), vst1q_f32(buffer + i + 4, load_half(keys + 4));
    } else {
      const float* scales = chunk.key_scales + i % positions;
      scaled_int8(reinterpret_cast<const std::int8_t*>(chunk.keys) + i, vld1q_f32(scales), vld1q_f32(scales + 4), buffer + i);
    }
  }
  return buffer;
}

// The first `count` positions' values (count, head_dim) as float32, head_dim a multiple of 8.
const float* values_f32(KvType type, const KvChunk& chunk, std::int64_t head_dim, std::int64_t count, float* buffer) {
  if (type == KvType::f32) return reinterpret_cast<const float*>(chunk.values);
  for (std::int64_t i = 0; i < count * head_dim; i += 8) {
    if (type == KvType::f16) {
      const auto* values = reinterpret_cast<const std::uint16_t*>(chunk.values) + i;
      vst1q_f32(buffer + i, load_half(values)), vst1q_f32(buffer + i + 4, load_half(values + 4));
    } else {
      const float32x4_t scale = vdupq_n_f32(chunk.value_scales[i / head_dim]);
      scaled_int8(reinterpret_cast<const std::int8_t*>(chunk.values) + i, scale, scale, buffer + i);
    }
  }
  return buffer;
}

// p[j] = q . key[j] for all 64 positions; each score adds over head_dim in order.
void scores(const float* q, const float* keys, std::int64_t head_dim, float* p) {
  float32x4_t acc[vectors];
  for (std::int64_t v = 0; v < vectors; ++v) acc[v] = vdupq_n_f32(0.0f);
  for (std::int64_t d = 0; d < head_dim; ++d) {
    const float32x4_t qd = vdupq_n_f32(q[d]);
    for (std::int64_t v = 0; v < vectors; ++v) {
      acc[v] = vaddq_f32(acc[v], vmulq_f32(qd, vld1q_f32(keys + d * positions + 4 * v)));
    }
  }
  for (std::int64_t v = 0; v < vectors; ++v) vst1q_f32(p + 4 * v, acc[v]);
}

// p = exp(p - max) with 0 from `visible` on; returns the lane sum, gives the maximum.
float exponentials(float* p, std::int64_t visible, float& max) {
  for (std::int64_t j = visible; j < positions; ++j) p[j] = -__builtin_inff();
  float32x4_t largest = vld1q_f32(p);
  for (std::int64_t v = 1; v < vectors; ++v) largest = larger(vld1q_f32(p + 4 * v), largest);
  float parts[4];
  vst1q_f32(parts, largest);
  max = parts[0];
  for (const float part : parts) max = part > max ? part : max;
  Lanes sums = zero_lanes();
  for (std::int64_t v = 0; v < vectors; ++v) {
    const float32x4_t e = exp4(vsubq_f32(vld1q_f32(p + 4 * v), vdupq_n_f32(max)));
    vst1q_f32(p + 4 * v, e);
    sums.v[v % 4] = vaddq_f32(sums.v[v % 4], e);
  }
  return lane_sum(sums);
}

// out = out * keep + (sum over positions of p * value) * take, for `width` registers of head_dim.
template <int width>
void merge_values(const float* p, std::int64_t visible, const float* values, std::int64_t head_dim, float* out, float keep,
                  float take) {
  float32x4_t acc[width];
  for (int v = 0; v < width; ++v) acc[v] = vdupq_n_f32(0.0f);
  for (std::int64_t j = 0; j < visible; ++j) {
    const float32x4_t pj = vdupq_n_f32(p[j]);
    for (int v = 0; v < width; ++v) acc[v] = vaddq_f32(acc[v], vmulq_f32(pj, vld1q_f32(values + j * head_dim + 4 * v)));
  }
  for (int v = 0; v < width; ++v) {
    const float32x4_t kept = vmulq_f32(vld1q_f32(out + 4 * v), vdupq_n_f32(keep));
    vst1q_f32(out + 4 * v, vaddq_f32(kept, vmulq_f32(acc[v], vdupq_n_f32(take))));
  }
}

}  // namespace

void kv_store(KvType type, const float* key, const float* value, std::int64_t head_dim, KvChunk chunk,
              std::int64_t slot) noexcept {
  scalar::kv_store(type, key, value, head_dim, chunk, slot);
}

void attend(KvType type, const KvChunk& chunk, const float* q, std::int64_t queries, const std::int32_t* visible,
            std::int64_t head_dim, const AttentionState& state, std::byte* scratch) noexcept {
  if (head_dim % 8 != 0) return scalar::attend(type, chunk, q, queries, visible, head_dim, state, scratch);
  std::int32_t most = 0;
  for (std::int64_t i = 0; i < queries; ++i) most = visible[i] > most ? visible[i] : most;
  auto* buffer = reinterpret_cast<float*>(scratch);
  const float* keys = keys_f32(type, chunk, head_dim, buffer);
  const float* values = values_f32(type, chunk, head_dim, most, buffer + head_dim * positions);
  for (std::int64_t i = 0; i < queries; ++i) {
    if (visible[i] == 0) continue;
    float p[positions];
    float max;
    scores(q + i * head_dim, keys, head_dim, p);
    const float sum = exponentials(p, visible[i], max);
    const float merged = max > state.max[i] ? max : state.max[i];
    const float keep = scalar::exp(state.max[i] - merged), take = scalar::exp(max - merged);
    state.max[i] = merged;
    state.sum[i] = state.sum[i] * keep + sum * take;
    float* out = state.out + i * head_dim;
    std::int64_t d = 0;
    for (; d + 64 <= head_dim; d += 64) merge_values<16>(p, visible[i], values + d, head_dim, out + d, keep, take);
    for (; d + 16 <= head_dim; d += 16) merge_values<4>(p, visible[i], values + d, head_dim, out + d, keep, take);
    for (; d < head_dim; d += 8) merge_values<2>(p, visible[i], values + d, head_dim, out + d, keep, take);
  }
}

}  // namespace bitnet::neon
