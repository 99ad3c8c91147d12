// Compute: the kernels and threads that a call computes with, and the memory of each thread.
#pragma once

#include <cstdint>
#include <vector>

#include "common/buffer.h"
#include "common/thread_pool.h"
#include "kernels/kernel_table.h"

namespace bitnet {

// Keeps references to the kernels and the pool. One call at a time: thread i of the pool owns the i-th of each memory.
struct Compute {
  // For matmuls over at most `cols` columns and attention over `head_dim`. Throws Error{too_big} without memory.
  Compute(const KernelTable& table, ThreadPool& threads, std::int64_t cols, std::int64_t head_dim)
      : kernels(table), pool(threads), rows(static_cast<std::size_t>(threads.threads())) {
    const auto bytes = static_cast<std::size_t>(kernel_scratch_bytes(cols, head_dim));
    for (int i = 0; i < pool.threads(); ++i) scratch.emplace_back(bytes);
  }

  const KernelTable& kernels;
  ThreadPool& pool;
  std::vector<Buffer> scratch;  // (threads) what kernels work in
  std::vector<Buffer> rows;     // (threads) what rows of a RowTable are read into
};

}  // namespace bitnet
