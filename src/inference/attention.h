// Attention: a batch's queries over the keys and values of their sequences, cut into work for all threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "common/buffer.h"
#include "common/thread_pool.h"
#include "inference/kv_cache.h"
#include "models/model_config.h"

namespace bitnet {

// Tokens of one sequence stand together, in order of position; positions before the batch's first are in the cache already.
struct BatchToken {
  std::int32_t id;  // in [0, n_vocab)
  KvCache* cache;   // reserved up to this position
  std::int64_t position;
};

// A query's result is defined by its position alone: positions are cut into spans of 256; a span's state is that of its chunks
// merged in order, and spans' states are merged in order. So spans may be attended at the same time, as happens when there are
// too few queries to share out, or one after the other. Every key and value of a span is read once for all queries of a kv
// head's group. In a layer with a window the spans and chunks are the same, those before the window left out. Not thread safe.
class Attention {
 public:
  // Keeps references to the config, the kernels and the pool.
  Attention(const ModelConfig& config, const KernelTable& kernels, ThreadPool& pool, std::int64_t max_tokens);

  // What the next runs are about; the tokens must stay where they are. Throws Error{too_big} when memory ends.
  void begin(std::span<const BatchToken> batch);

  // Where to put a token's scaled queries of one kv head: (n_head / n_head_kv, head_dim). Different ones at the same time, too.
  float* queries(std::int64_t kv_head, std::int64_t token);

  // out (tokens, n_head * head_dim) of one layer whose keys and values are in the caches; scratch is one buffer per thread, of
  // kernel_scratch_bytes().
  void run(std::int64_t layer, std::span<Buffer> scratch, float* out);

 private:
  // Queries of one sequence, (token, head of the group) in order: at most attention_block.
  struct Block {
    std::int64_t first, count;
    std::int64_t first_span, spans;  // from the first that its first query sees to the last that its last one does
  };
  // One span of one block, where blocks share the threads by spans.
  struct Piece {
    std::int64_t block, span;
    std::int64_t row;  // of states_, per kv head
  };
  // The work of every layer with the same window.
  struct Plan {
    std::int64_t window;  // positions that a query sees, its own included
    std::vector<Block> blocks;
    std::vector<Piece> pieces;  // empty: whole blocks are the work
  };

  const BatchToken& token(std::int64_t query) const { return batch_[static_cast<std::size_t>(query / group_)]; }
  void cut_blocks(Plan& plan) const;
  void cut_pieces(Plan& plan);
  void run_blocks(const Plan& plan, std::int64_t layer, std::span<Buffer> scratch, float* out);
  void run_pieces(const Plan& plan, std::int64_t layer, std::span<Buffer> scratch, float* out);
  void attend_span(const Plan& plan, std::int64_t layer, std::int64_t kv_head, const Block& block, std::int64_t span,
                   const AttentionState& state, std::byte* scratch) const;
  void finish(std::int64_t kv_head, const Block& block, const AttentionState& state, float* out) const;
  AttentionState state(Buffer& memory, std::int64_t row) const;
  Buffer make_states(std::int64_t rows) const;

  const ModelConfig& config_;
  const KernelTable& kernels_;
  ThreadPool& pool_;
  std::int64_t group_;  // heads per kv head
  std::span<const BatchToken> batch_;
  std::vector<Plan> plans_;                            // of layers that see everything, and of those with the window
  std::vector<std::atomic<std::int64_t>> spans_left_;  // (n_head_kv, blocks) while pieces run
  Buffer queries_;                                     // (n_head_kv, tokens, n_head / n_head_kv, head_dim)
  Buffer states_;                                      // (n_head_kv, rows of all pieces) of (max, sum, out)
  std::vector<Buffer> block_states_;                   // per thread: two states of a block
};

}  // namespace bitnet
