// Attention on sixteen floats as one register; the loops are those of attention_loops.h.
#include "kernels/attention_loops.h"

#include <immintrin.h>

#include "kernels/avx512/ops.h"
#include "kernels/scalar/ops.h"

namespace bitnet::avx512 {
namespace {

struct Vector {
  static constexpr int tile_rows = 10;  // as many accumulators hide the time that an addition takes
  using Lanes = __m512;

  static Lanes zero() { return _mm512_setzero_ps(); }
  static Lanes splat(float x) { return _mm512_set1_ps(x); }
  static Lanes load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Lanes x) { _mm512_storeu_ps(p, x); }
  static Lanes load_f16(const std::uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Lanes load_int8(const std::int8_t* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  static Lanes add(Lanes a, Lanes b) { return _mm512_add_ps(a, b); }
  static Lanes sub(Lanes a, Lanes b) { return _mm512_sub_ps(a, b); }
  static Lanes mul(Lanes a, Lanes b) { return _mm512_mul_ps(a, b); }
  static Lanes larger(Lanes a, Lanes b) { return _mm512_max_ps(a, b); }

  // Operation by operation as in scalar/exp.h.
  static Lanes exp(Lanes x) {
    const Lanes shift = splat(0x1.8p23f), shifted = add(mul(x, splat(0x1.715476p+0f)), shift), k = sub(shifted, shift);
    const Lanes r = sub(sub(x, mul(k, splat(0x1.62e4p-1f))), mul(k, splat(0x1.7f7d1cp-20f)));
    Lanes p = splat(0x1.a01a02p-13f);
    for (const float c : {0x1.6c16c2p-10f, 0x1.111112p-7f, 0x1.555556p-5f, 0x1.555556p-3f, 0.5f, 1.0f, 1.0f}) {
      p = add(mul(p, r), splat(c));
    }
    const __m512i power = _mm512_slli_epi32(_mm512_add_epi32(_mm512_castps_si512(shifted), _mm512_set1_epi32(127)), 23);
    Lanes y = mul(p, _mm512_castsi512_ps(power));
    y = _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, splat(-87.0f), _CMP_LT_OQ), y, zero());
    y = _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, splat(88.0f), _CMP_GT_OQ), y, splat(__builtin_inff()));
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), y, x);
  }

  static float sum(Lanes x) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x), high(x));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  static float largest(Lanes x) {
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(x), high(x));
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  static void prefetch(const std::byte* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }

 private:
  static __m256 high(Lanes x) { return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1)); }
};

}  // namespace

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

}  // namespace bitnet::avx512
