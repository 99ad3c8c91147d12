// Memory of the KV cache: one allocation per page, all layers and heads together.
#include "inference/kv_pages.h"

#include "common/checked.h"
#include "common/error.h"

namespace bitnet {
namespace {

// Of one layer and head: keys, values, and for int8 their scales.
std::int64_t head_page_bytes(const KvShape& shape) {
  const std::int64_t codes = 2 * kv_chunk_positions * shape.head_dim * shape.element_bytes();
  return shape.type == KvType::int8 ? codes + 2 * kv_chunk_positions * 4 : codes;
}

}  // namespace

std::int64_t KvShape::element_bytes() const { return type == KvType::f32 ? 4 : type == KvType::f16 ? 2 : 1; }
std::int64_t KvShape::head_bytes() const { return round_up(head_page_bytes(*this), 64); }
std::int64_t KvShape::page_bytes() const { return n_layer * n_head_kv * head_bytes(); }
std::uint64_t KvShape::bytes_per_position() const {
  return static_cast<std::uint64_t>(n_layer * n_head_kv * head_page_bytes(*this) / kv_chunk_positions);
}

KvChunk KvShape::chunk(std::byte* page, std::int64_t layer, std::int64_t kv_head) const {
  std::byte* start = page + (layer * n_head_kv + kv_head) * head_bytes();
  const std::int64_t half = kv_chunk_positions * head_dim * element_bytes();
  auto* scales = reinterpret_cast<float*>(start + 2 * half);
  const bool scaled = type == KvType::int8;
  return {start, start + half, scaled ? scales : nullptr, scaled ? scales + kv_chunk_positions : nullptr};
}

KvPages::KvPages(const KvShape& shape, std::int64_t most) : shape_(shape), most_(most) {}

KvPage KvPages::take() {
  if (used() >= most_) fail(ErrorKind::too_big, "all {} pages of the KV cache are in use", most_);
  std::vector<std::unique_ptr<Buffer>>& idle = store_->idle;
  std::unique_ptr<Buffer> page;
  if (idle.empty()) {
    page = std::make_unique<Buffer>(static_cast<std::size_t>(shape_.page_bytes()));
    // Room for it to come back to: letting go must not fail.
    idle.reserve(static_cast<std::size_t>(used()) + 1);
  } else {
    page = std::move(idle.back());
    idle.pop_back();
  }
  const auto give_back = [store = store_](Buffer* buffer) {
    store->idle.emplace_back(buffer);
    store->used.fetch_sub(1, std::memory_order_relaxed);
  };
  KvPage taken(page.release(), give_back);
  store_->used.fetch_add(1, std::memory_order_relaxed);
  return taken;
}

}  // namespace bitnet
