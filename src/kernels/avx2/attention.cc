// Attention over one chunk: positions across the register for scores, head_dim across it for values.
#include "kernels/avx2/ops.h"
#include "kernels/avx2/vector.h"
#include "kernels/scalar/exp.h"
#include "kernels/scalar/ops.h"

namespace bitnet::avx2 {
namespace {

constexpr std::int64_t positions = kv_chunk_positions;
constexpr std::int64_t vectors = positions / 8;  // registers that hold one value per position

__m256 load_half(const std::uint16_t* p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
__m256 load_int8(const std::int8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}

// The chunk's keys (head_dim, 64) as float32: as they lie, or converted into `buffer`.
const float* keys_f32(KvType type, const KvChunk& chunk, std::int64_t head_dim, float* buffer) {
  if (type == KvType::f32) return reinterpret_cast<const float*>(chunk.keys);
  for (std::int64_t i = 0; i < head_dim * positions; i += 8) {
    const __m256 key = type == KvType::f16 ? load_half(reinterpret_cast<const std::uint16_t*>(chunk.keys) + i)
                                           : _mm256_mul_ps(load_int8(reinterpret_cast<const std::int8_t*>(chunk.keys) + i),
                                                           _mm256_loadu_ps(chunk.key_scales + i % positions));
    _mm256_storeu_ps(buffer + i, key);
  }
  return buffer;
}

// The first `count` positions' values (count, head_dim) as float32, head_dim a multiple of 8.
const float* values_f32(KvType type, const KvChunk& chunk, std::int64_t head_dim, std::int64_t count, float* buffer) {
  if (type == KvType::f32) return reinterpret_cast<const float*>(chunk.values);
  for (std::int64_t j = 0; j < count; ++j) {
    const __m256 scale = _mm256_set1_ps(type == KvType::int8 ? chunk.value_scales[j] : 1.0f);
    for (std::int64_t i = j * head_dim; i < (j + 1) * head_dim; i += 8) {
      const __m256 value = type == KvType::f16
                               ? load_half(reinterpret_cast<const std::uint16_t*>(chunk.values) + i)
                               : _mm256_mul_ps(load_int8(reinterpret_cast<const std::int8_t*>(chunk.values) + i), scale);
      _mm256_storeu_ps(buffer + i, value);
    }
  }
  return buffer;
}

// p[j] = q . key[j] for all 64 positions; each score adds over head_dim in order.
void scores(const float* q, const float* keys, std::int64_t head_dim, float* p) {
  __m256 acc[vectors];
  for (std::int64_t v = 0; v < vectors; ++v) acc[v] = _mm256_setzero_ps();
  for (std::int64_t d = 0; d < head_dim; ++d) {
    const __m256 qd = _mm256_broadcast_ss(q + d);
    for (std::int64_t v = 0; v < vectors; ++v) {
      acc[v] = _mm256_add_ps(acc[v], _mm256_mul_ps(qd, _mm256_loadu_ps(keys + d * positions + 8 * v)));
    }
  }
  for (std::int64_t v = 0; v < vectors; ++v) _mm256_storeu_ps(p + 8 * v, acc[v]);
}

// p = exp(p - max) with 0 from `visible` on; returns the lane sum, gives the maximum.
float exponentials(float* p, std::int64_t visible, float& max) {
  for (std::int64_t j = visible; j < positions; ++j) p[j] = -__builtin_inff();
  __m256 largest = _mm256_loadu_ps(p);
  for (std::int64_t v = 1; v < vectors; ++v) largest = _mm256_max_ps(_mm256_loadu_ps(p + 8 * v), largest);
  float parts[8];
  _mm256_storeu_ps(parts, largest);
  max = parts[0];
  for (const float part : parts) max = part > max ? part : max;
  __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  for (std::int64_t v = 0; v < vectors; ++v) {
    const __m256 e = exp8(_mm256_sub_ps(_mm256_loadu_ps(p + 8 * v), _mm256_set1_ps(max)));
    _mm256_storeu_ps(p + 8 * v, e);
    sums[v % 2] = _mm256_add_ps(sums[v % 2], e);
  }
  return lane_sum(sums[0], sums[1]);
}

// out = out * keep + (sum over positions of p * value) * take, for `width` registers of head_dim.
template <int width>
void merge_values(const float* p, std::int64_t visible, const float* values, std::int64_t head_dim, float* out, float keep,
                  float take) {
  __m256 acc[width];
  for (int v = 0; v < width; ++v) acc[v] = _mm256_setzero_ps();
  for (std::int64_t j = 0; j < visible; ++j) {
    const __m256 pj = _mm256_broadcast_ss(p + j);
    for (int v = 0; v < width; ++v) {
      acc[v] = _mm256_add_ps(acc[v], _mm256_mul_ps(pj, _mm256_loadu_ps(values + j * head_dim + 8 * v)));
    }
  }
  for (int v = 0; v < width; ++v) {
    const __m256 kept = _mm256_mul_ps(_mm256_loadu_ps(out + 8 * v), _mm256_set1_ps(keep));
    _mm256_storeu_ps(out + 8 * v, _mm256_add_ps(kept, _mm256_mul_ps(acc[v], _mm256_set1_ps(take))));
  }
}

}  // namespace

void kv_store(KvType type, const float* key, const float* value, std::int64_t head_dim, KvChunk chunk,
              std::int64_t slot) noexcept {
  if (type != KvType::f16 || head_dim % 8 != 0) return scalar::kv_store(type, key, value, head_dim, chunk, slot);
  auto* keys = reinterpret_cast<std::uint16_t*>(chunk.keys);
  auto* values = reinterpret_cast<std::uint16_t*>(chunk.values) + slot * head_dim;
  for (std::int64_t d = 0; d < head_dim; d += 8) {
    alignas(16) std::uint16_t half[8];
    _mm_store_si128(reinterpret_cast<__m128i*>(half), _mm256_cvtps_ph(_mm256_loadu_ps(key + d), _MM_FROUND_TO_NEAREST_INT));
    for (int i = 0; i < 8; ++i) keys[(d + i) * positions + slot] = half[i];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(values + d),
                     _mm256_cvtps_ph(_mm256_loadu_ps(value + d), _MM_FROUND_TO_NEAREST_INT));
  }
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
    alignas(32) float p[positions];
    float max;
    scores(q + i * head_dim, keys, head_dim, p);
    const float sum = exponentials(p, visible[i], max);
    const float merged = max > state.max[i] ? max : state.max[i];
    const float keep = scalar::exp(state.max[i] - merged), take = scalar::exp(max - merged);
    state.max[i] = merged;
    state.sum[i] = state.sum[i] * keep + sum * take;
    float* out = state.out + i * head_dim;
    std::int64_t d = 0;
    for (; d + 64 <= head_dim; d += 64) merge_values<8>(p, visible[i], values + d, head_dim, out + d, keep, take);
    for (; d + 32 <= head_dim; d += 32) merge_values<4>(p, visible[i], values + d, head_dim, out + d, keep, take);
    for (; d < head_dim; d += 8) merge_values<1>(p, visible[i], values + d, head_dim, out + d, keep, take);
  }
}

}  // namespace bitnet::avx2
