// Attention on sixteen floats as two registers; the loops are those of attention_loops.h.
#include "kernels/attention_loops.h"

#include "kernels/avx2/ops.h"
#include "kernels/avx2/vector.h"
#include "kernels/scalar/ops.h"

namespace bitnet::avx2 {
namespace {

constexpr std::int64_t positions = kv_chunk_positions;

struct Vector {
  static constexpr int tile_rows = 6;  // twelve accumulators, two columns, a factor and a product: all sixteen registers
  struct Lanes {
    __m256 low, high;
  };
  static Lanes zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static Lanes splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static Lanes load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static void store(float* p, Lanes x) { _mm256_storeu_ps(p, x.low), _mm256_storeu_ps(p + 8, x.high); }
  static Lanes load_f16(const std::uint16_t* p) {
    const auto* at = reinterpret_cast<const __m128i*>(p);
    return {_mm256_cvtph_ps(_mm_loadu_si128(at)), _mm256_cvtph_ps(_mm_loadu_si128(at + 1))};
  }
  static Lanes load_int8(const std::int8_t* p) {
    const auto eight = [](const std::int8_t* at) {
      return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at))));
    };
    return {eight(p), eight(p + 8)};
  }
  static Lanes add(Lanes a, Lanes b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
  static Lanes sub(Lanes a, Lanes b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
  static Lanes mul(Lanes a, Lanes b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
  static Lanes larger(Lanes a, Lanes b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
  static Lanes exp(Lanes x) { return {exp8(x.low), exp8(x.high)}; }
  static float sum(Lanes x) { return lane_sum(x.low, x.high); }
  static float largest(Lanes x) {
    const __m256 eight = _mm256_max_ps(x.low, x.high);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  static void prefetch(const std::byte* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }
};

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

void attend(KvType type, const KvChunk* chunks, std::int64_t count, const float* q, std::int64_t queries,
            const std::int32_t* hidden, const std::int32_t* visible, std::int64_t head_dim, const AttentionState& state,
            std::byte* scratch) noexcept {
  if (head_dim < float_lanes) return scalar::attend(type, chunks, count, q, queries, hidden, visible, head_dim, state, scratch);
  attend_with<Vector>(type, chunks, count, q, queries, hidden, visible, head_dim, state, scratch);
}

void merge_states(const AttentionState& into, const AttentionState& from, std::int64_t queries,
                  std::int64_t head_dim) noexcept {
  bitnet::merge_states<Vector>(into, from, queries, head_dim);
}

}  // namespace bitnet::avx2
