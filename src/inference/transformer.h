// Transformer: one batch of tokens through all layers. Every row is computed as if it were alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/buffer.h"
#include "common/thread_pool.h"
#include "inference/attention.h"
#include "inference/hidden_zeros.h"
#include "inference/prepare.h"

namespace bitnet {

// Keeps a reference to the model, the kernels and the pool. Not thread
// safe.
class Transformer {
 public:
  Transformer(const PreparedModel& model, const KernelTable& kernels, ThreadPool& pool, std::int64_t max_tokens);

  std::int64_t max_tokens() const { return max_tokens_; }
  std::int64_t n_vocab() const { return model_.config.n_vocab; }

  // Runs 1 to max_tokens() tokens and writes their keys and values; the caller then sets the caches' lengths.
  void forward(std::span<const BatchToken> batch);

  // Logits (count, n_vocab) of rows [first, first + count) of the last batch, at most head_rows at a time; valid until the next
  // call.
  static constexpr std::int64_t head_rows = 8;
  std::span<const float> logits(std::int64_t first, std::int64_t count);

  // What each query asks for of rows [first, first + queries) of the last batch, with the bits of logits(); at most head_rows
  // of them; valid until the next call.
  std::vector<LogitSet> find_logits(std::int64_t first, std::span<const LogitQuery> queries);
  LogitSet find_logits(std::int64_t row, const LogitQuery& query) { return find_logits(row, std::span(&query, 1)).front(); }

  // Hidden states (count, n_embd) of rows [first, first + count) of the last batch, behind the final norm; valid until the next
  // call of any kind.
  std::span<const float> hidden(std::int64_t first, std::int64_t count);

  const HiddenZeros& hidden_zeros() const { return zeros_; }

 private:
  void embed();
  void project(const Linear& w, const float* x, const std::vector<float>& gain, float* y);
  void add_to_residual(float* addend, const std::vector<float>& gain);
  void attend(const PreparedLayer& layer, std::int64_t index);
  void feed_forward(const PreparedLayer& layer);
  void hidden_of_one(const PreparedLayer& layer, const LinearInput& in);
  void hidden_of_many(const PreparedLayer& layer);
  bool add_down_columns(const PreparedLayer& layer, const QuantisedRows& in);
  void store_and_rotate(const PreparedLayer& layer, std::int64_t index, std::int64_t token);
  void normalise_last(std::int64_t first, std::int64_t count);  // into normed_, from its first row on
  LinearInput normalise(const float* x, std::int64_t n, const std::vector<float>& gain, bool quantised, bool floats);
  LinearInput normalise(const float* x, const std::vector<float>& gain, const Linear& next) {
    return normalise(x, next.cols(), gain, next.needs_quantised(), next.needs_float());
  }
  template <class Body>
  void each_token(const Body& body);

  const PreparedModel& model_;
  const KernelTable& kernels_;
  ThreadPool& pool_;
  std::int64_t max_tokens_, tokens_ = 0;
  std::span<const BatchToken> batch_;
  Attention attention_;
  Compute compute_;                                       // with kernels_ and pool_
  Buffer x_;                                              // (tokens, n_embd) the residual stream
  Buffer projected_;                                      // (tokens, widest output) of the last matmul
  Buffer normed_;                                         // (tokens, widest input) float32 input of dense matmuls
  Buffer shared_;                                         // (tokens, n_embd) what input norms share; empty without them
  Buffer quantised_, quantised_scales_, quantised_sums_;  // (tokens, widest input), (tokens), (tokens)
  Buffer cos_, sin_;                                      // (1, or 2 with windows; tokens, rope_dim / 2)
  Buffer hidden_;                                         // (tokens, n_head * head_dim or n_ff)
  std::vector<std::int32_t> picked_;                      // (n_ff) rows of up, or columns of down; each thread has its part
  std::vector<std::vector<std::int32_t>> down_sums_;      // per thread (n_embd rounded up to lines)
  HiddenZeros zeros_;
  std::vector<HeadScan::Memory> head_memory_;  // (head_rows)
  Buffer logits_;                              // (head_rows, n_vocab)
};

}  // namespace bitnet
