// KvCache: keys and values of one sequence, in pages of 64 positions that attention reads as they lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "inference/kv_pages.h"
#include "kernels/kernel_table.h"

namespace bitnet {

// Not thread safe, but what chunk() gives for different heads, layers or slots may be written at the same time. The pool of
// pages must outlive it.
class KvCache {
 public:
  KvCache(KvPages& pages, std::int64_t n_ctx);

  std::int64_t n_ctx() const { return n_ctx_; }
  std::int64_t length() const { return length_; }  // positions filled
  KvType type() const { return pages_.shape().type; }

  // Makes positions [length(), positions) writable, and keeps their memory from then on: takes pages that are missing, and
  // copies the one that the first of them lies in where others hold it, too. Throws Error{too_big}, having changed nothing that
  // is filled, when that passes n_ctx or the pool ends.
  void reserve(std::int64_t positions);
  // How many pages reserve(positions) would take from the pool.
  std::int64_t pages_missing(std::int64_t positions) const;
  // Whether it would find them, and positions allowed.
  bool has_room(std::int64_t positions) const { return positions <= n_ctx_ && pages_missing(positions) <= pages_.free(); }

  // Also shortens: later positions are overwritten when filled again.
  void set_length(std::int64_t length) { length_ = length; }
  // Lets go of the pages behind the length.
  void trim();

  // Starts with pages that others filled, of `positions` positions; they stay as they are whoever writes next. The cache must
  // be empty.
  void share(std::span<const KvPage> pages, std::int64_t positions);
  std::span<const KvPage> pages() const { return held_; }

  // The 64 positions from 64 * index on of one layer and kv head; the last chunk is valid up to the length.
  KvChunk chunk(std::int64_t layer, std::int64_t kv_head, std::int64_t index);

 private:
  std::size_t kept_pages() const;
  bool must_copy() const;

  KvPages& pages_;
  std::int64_t n_ctx_;
  std::int64_t length_ = 0;
  std::vector<KvPage> held_;
};

}  // namespace bitnet
