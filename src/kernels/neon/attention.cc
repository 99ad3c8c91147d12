// Attention on sixteen floats as four registers; the loops are those of attention_loops.h.
#include "kernels/attention_loops.h"

#include "kernels/neon/ops.h"
#include "kernels/neon/vector.h"
#include "kernels/scalar/ops.h"

namespace bitnet::neon {
namespace {

struct Vector {
  static constexpr int tile_rows = 4;  // sixteen accumulators and four columns of 32 registers
  using Lanes = neon::Lanes;
  template <class Op>
  static Lanes each(const Op& op) {
    return {{op(0), op(1), op(2), op(3)}};
  }
  static Lanes zero() { return zero_lanes(); }
  static Lanes splat(float x) {
    return each([&](int) { return vdupq_n_f32(x); });
  }
  static Lanes load(const float* p) {
    return each([&](int i) { return vld1q_f32(p + 4 * i); });
  }
  static void store(float* p, const Lanes& x) { store_lanes(x, p); }
  static Lanes load_f16(const std::uint16_t* p) {
    return each([&](int i) { return load_half(p + 4 * i); });
  }
  static Lanes load_int8(const std::int8_t* p) {
    const int8x16_t bytes = vld1q_s8(p);
    const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_s8(vget_high_s8(bytes));
    return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
             vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))}};
  }
  static Lanes add(const Lanes& a, const Lanes& b) {
    return each([&](int i) { return vaddq_f32(a.v[i], b.v[i]); });
  }
  static Lanes sub(const Lanes& a, const Lanes& b) {
    return each([&](int i) { return vsubq_f32(a.v[i], b.v[i]); });
  }
  static Lanes mul(const Lanes& a, const Lanes& b) {
    return each([&](int i) { return vmulq_f32(a.v[i], b.v[i]); });
  }
  static Lanes larger(const Lanes& a, const Lanes& b) {
    return each([&](int i) { return neon::larger(a.v[i], b.v[i]); });
  }
  static Lanes exp(const Lanes& x) {
    return each([&](int i) { return exp4(x.v[i]); });
  }
  static float sum(const Lanes& x) { return lane_sum(x); }
  static float largest(const Lanes& x) {
    return vmaxvq_f32(neon::larger(neon::larger(x.v[0], x.v[1]), neon::larger(x.v[2], x.v[3])));
  }
  static void prefetch(const std::byte* p) { __builtin_prefetch(p); }
};

}  // namespace

void kv_store(KvType type, const float* key, const float* value, std::int64_t head_dim, KvChunk chunk,
              std::int64_t slot) noexcept {
  scalar::kv_store(type, key, value, head_dim, chunk, slot);
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

}  // namespace bitnet::neon
