// KvPages: the memory of all sequences' keys and values, in pages of 64 positions that sequences may share.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "common/buffer.h"
#include "kernels/kernel_table.h"

namespace bitnet {

// What a position's keys and values take.
struct KvShape {
  KvType type;
  std::int64_t n_layer, n_head_kv, head_dim;

  std::int64_t element_bytes() const;
  std::int64_t head_bytes() const;           // 64 positions of one layer and kv head, a multiple of 64
  std::int64_t page_bytes() const;           // 64 positions of all layers and kv heads
  std::uint64_t bytes_per_position() const;  // page_bytes without what rounds it up

  // Where one layer's kv head lies in a page.
  KvChunk chunk(std::byte* page, std::int64_t layer, std::int64_t kv_head) const;
};

// Keys and values of 64 consecutive positions: (n_layer, n_head_kv, head_bytes). Counted: the last holder to let go gives the
// memory back. Whoever holds one alone may write to it.
using KvPage = std::shared_ptr<Buffer>;

// Hands out pages, and keeps those that come back for the next one who asks, so that memory grows to what was used at once and
// stays there. Taking and letting go are for one thread at a time; used() may be read by any. Pages may outlive the pool.
class KvPages {
 public:
  static constexpr std::int64_t unlimited = std::numeric_limits<std::int64_t>::max();

  explicit KvPages(const KvShape& shape, std::int64_t most = unlimited);

  const KvShape& shape() const { return shape_; }
  std::int64_t most() const { return most_; }  // pages that may be in use at once
  std::int64_t used() const { return store_->used.load(std::memory_order_relaxed); }
  std::int64_t free() const { return most_ - used(); }

  // A page with whatever was in it before. Throws Error{too_big} when all are in use or memory ends.
  KvPage take();

 private:
  struct Store {
    std::vector<std::unique_ptr<Buffer>> idle;
    std::atomic<std::int64_t> used{0};
  };
  KvShape shape_;
  std::int64_t most_;
  std::shared_ptr<Store> store_ = std::make_shared<Store>();
};

}  // namespace bitnet
