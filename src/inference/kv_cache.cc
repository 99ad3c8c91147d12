// Which pages a sequence holds, and when it needs its own copy of one.
#include "inference/kv_cache.h"

#include <algorithm>
#include <cstring>

#include "common/checked.h"
#include "common/error.h"

namespace bitnet {
namespace {

std::int64_t pages_for(std::int64_t positions) { return ceil_div(positions, kv_chunk_positions); }

}  // namespace

KvCache::KvCache(KvPages& pages, std::int64_t n_ctx) : pages_(pages), n_ctx_(n_ctx) {}

// Pages behind the filled positions that others hold, too, are of no use to this sequence: it would overwrite them. Gives how
// many of its pages it keeps.
std::size_t KvCache::kept_pages() const {
  const auto filled = static_cast<std::size_t>(pages_for(length_));
  for (std::size_t i = filled; i < held_.size(); ++i) {
    if (held_[i].use_count() > 1) return i;
  }
  return held_.size();
}

// Whether the next position lies in a page that is partly filled and held by others, too.
bool KvCache::must_copy() const {
  return length_ % kv_chunk_positions != 0 && held_[static_cast<std::size_t>(length_ / kv_chunk_positions)].use_count() > 1;
}

std::int64_t KvCache::pages_missing(std::int64_t positions) const {
  if (positions <= length_) return 0;
  const std::int64_t more = pages_for(positions) - static_cast<std::int64_t>(kept_pages());
  return std::max<std::int64_t>(more, 0) + (must_copy() ? 1 : 0);
}

void KvCache::reserve(std::int64_t positions) {
  if (positions > n_ctx_) fail(ErrorKind::too_big, "the context holds {} tokens, {} are needed", n_ctx_, positions);
  if (positions <= length_) return;
  held_.resize(kept_pages());
  if (must_copy()) {
    KvPage& shared = held_[static_cast<std::size_t>(length_ / kv_chunk_positions)];
    KvPage own = pages_.take();
    std::memcpy(own->data(), shared->data(), own->size());
    shared = std::move(own);
  }
  while (static_cast<std::int64_t>(held_.size()) < pages_for(positions)) held_.push_back(pages_.take());
}

void KvCache::trim() {
  const auto kept = static_cast<std::size_t>(pages_for(length_));
  if (held_.size() > kept) held_.resize(kept);
}

void KvCache::share(std::span<const KvPage> pages, std::int64_t positions) {
  held_.assign(pages.begin(), pages.end());
  length_ = positions;
}

KvChunk KvCache::chunk(std::int64_t layer, std::int64_t kv_head, std::int64_t index) {
  return pages_.shape().chunk(held_[static_cast<std::size_t>(index)]->data(), layer, kv_head);
}

}  // namespace bitnet
