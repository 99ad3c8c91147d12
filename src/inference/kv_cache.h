// KvCache: keys and values of one sequence, in chunks of 64 positions that attention reads as they lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/buffer.h"
#include "kernels/kernel_table.h"

namespace bitnet {

// Grows by whole chunks for all layers at once. Not thread safe, but what chunk() gives for different heads, layers or slots
// may be written at the same time.
class KvCache {
 public:
  KvCache(KvType type, std::int64_t n_layer, std::int64_t n_head_kv, std::int64_t head_dim, std::int64_t n_ctx);

  std::int64_t n_ctx() const { return n_ctx_; }
  std::int64_t length() const { return length_; }  // positions filled
  KvType type() const { return type_; }

  // Memory for positions [0, positions), kept from then on; throws Error{too_big} when that passes n_ctx or memory ends.
  void reserve(std::int64_t positions);
  void set_length(std::int64_t length) {
    length_ = length;
  }  // also shortens: later positions are overwritten when filled again

  // The 64 positions from 64 * index on of one layer and kv head; the last chunk is valid up to the length.
  KvChunk chunk(std::int64_t layer, std::int64_t kv_head, std::int64_t index);

  static std::uint64_t bytes_per_position(KvType type, std::int64_t n_layer, std::int64_t n_head_kv, std::int64_t head_dim);

 private:
  KvType type_;
  std::int64_t n_layer_, n_head_kv_, head_dim_, n_ctx_;
  std::int64_t length_ = 0;
  std::int64_t chunk_bytes_;    // of one layer and kv head
  std::vector<Buffer> chunks_;  // each (n_layer, n_head_kv, chunk_bytes)
};

}  // namespace bitnet
