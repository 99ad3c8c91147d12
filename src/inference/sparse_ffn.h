// Squared ReLU leaves most of a feed-forward's hidden values zero: which weights does one token then need, and when does it pay
// to leave the others unread?
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "common/buffer.h"
#include "common/thread_pool.h"
#include "inference/hidden_zeros.h"
#include "inference/linear.h"
#include "kernels/kernel_table.h"

namespace bitnet {

// `down` turned over, so that the weights of one input lie together: what ternary_combine reads.
struct DownColumns {
  Buffer lines;
  TernaryMatrix matrix{};         // (n_ff, n_embd), without scales
  const float* scales = nullptr;  // (n_embd), those of the Linear that was turned over

  explicit operator bool() const { return matrix.rows != 0; }
};

// nullopt when `down` is not one ternary matrix. Throws Error{too_big} without memory.
std::optional<DownColumns> turn_over(const Linear& down, ThreadPool& pool);

// One layer's weights to time with.
struct SparseSample {
  const TernaryMatrix *up, *down, *down_columns;
};

// Times both ways on at most sixteen of the layers, some milliseconds in all.
SparseLimits measure_sparse_limits(std::span<const SparseSample> layers, const KernelTable& kernels, ThreadPool& pool);

// Writes the indices i in [begin, end) for which `counts(i)`; returns how many.
template <class Counts>
std::int64_t pick(std::int64_t begin, std::int64_t end, const Counts& counts, std::int32_t* picked) {
  std::int64_t n = 0;
  for (std::int64_t i = begin; i < end; ++i) {
    picked[n] = static_cast<std::int32_t>(i);  // overwritten by the next when it does not count: no branch to mispredict
    n += counts(i) ? 1 : 0;
  }
  return n;
}

}  // namespace bitnet
