// Memory of the KV cache: one allocation per chunk of 64 positions, all layers and heads together.
#include "inference/kv_cache.h"

#include <new>

#include "common/checked.h"
#include "common/error.h"

namespace bitnet {
namespace {

std::int64_t element_bytes(KvType type) { return type == KvType::f32 ? 4 : type == KvType::f16 ? 2 : 1; }

// Of one layer and head: keys, values, and for int8 their scales.
std::int64_t head_chunk_bytes(KvType type, std::int64_t head_dim) {
  const std::int64_t codes = 2 * kv_chunk_positions * head_dim * element_bytes(type);
  return type == KvType::int8 ? codes + 2 * kv_chunk_positions * 4 : codes;
}

}  // namespace

KvCache::KvCache(KvType type, std::int64_t n_layer, std::int64_t n_head_kv, std::int64_t head_dim, std::int64_t n_ctx)
    : type_(type),
      n_layer_(n_layer),
      n_head_kv_(n_head_kv),
      head_dim_(head_dim),
      n_ctx_(n_ctx),
      chunk_bytes_(round_up(head_chunk_bytes(type, head_dim), 64)) {}

void KvCache::reserve(std::int64_t positions) {
  if (positions > n_ctx_) fail(ErrorKind::too_big, "the context holds {} tokens, {} are needed", n_ctx_, positions);
  const auto needed = static_cast<std::size_t>(ceil_div(positions, kv_chunk_positions));
  while (chunks_.size() < needed) chunks_.emplace_back(static_cast<std::size_t>(n_layer_ * n_head_kv_ * chunk_bytes_));
}

KvChunk KvCache::chunk(std::int64_t layer, std::int64_t kv_head, std::int64_t index) {
  std::byte* start = chunks_[static_cast<std::size_t>(index)].data() + (layer * n_head_kv_ + kv_head) * chunk_bytes_;
  const std::int64_t half = kv_chunk_positions * head_dim_ * element_bytes(type_);
  auto* scales = reinterpret_cast<float*>(start + 2 * half);
  const bool scaled = type_ == KvType::int8;
  return {start, start + half, scaled ? scales : nullptr, scaled ? scales + kv_chunk_positions : nullptr};
}

std::uint64_t KvCache::bytes_per_position(KvType type, std::int64_t n_layer, std::int64_t n_head_kv, std::int64_t head_dim) {
  return static_cast<std::uint64_t>(n_layer * n_head_kv * head_chunk_bytes(type, head_dim) / kv_chunk_positions);
}

}  // namespace bitnet
