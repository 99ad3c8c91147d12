// HeadScan: which tokens have the highest logits? An int8 copy of the head is scanned, and the few rows that a proven bound
// admits are multiplied exactly.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/buffer.h"
#include "common/thread_pool.h"
#include "inference/logits.h"
#include "inference/row_table.h"
#include "kernels/kernel_table.h"

namespace bitnet {

// Every logit it gives has the bits of the full head. The bound: a row e = s q + r, with q int8, and an input x = t p + d, with
// p of 16 bits, differ from the scanned s t (q . p) by |r . x + s q . d| <= |r| |x| + (|e| + |r|) |d| (Cauchy and Schwarz), and
// the rounding of the float32 sum by at most (cols / 16 + 16) 2^-24 |e| |x|.
// Immutable once made.
class HeadScan {
 public:
  HeadScan() = default;

  // Reads every row of `head` once, on the pool's threads; keeps no reference to it. Not usable where a row is not finite, has
  // more than 2^20 columns, or where the head is so small that the full one is as good.
  HeadScan(const DenseMatrix& head, const KernelTable& kernels, ThreadPool& pool);

  bool usable() const { return usable_; }
  std::uint64_t bytes() const;  // that one find() reads, and that are kept

  // What find() works with and answers one query from.
  struct Memory {
    std::vector<float> upper;        // (rows) no logit is above it
    std::vector<float> block_upper;  // (rows / 64, rounded up) the largest `upper` of each 64 rows
    std::vector<TokenId> ids;        // of the last answer
    std::vector<float> values;
  };

  // One answer for each query: `x` (queries, cols) are the head's inputs, which share one reading of the copy. nullopt where
  // the bound admits too many rows, or x is not finite: the full head is needed. An answer is valid until its `memory` is used
  // again, of which there are as many as queries. Throws Error{io} when the head's file was changed.
  std::vector<std::optional<LogitSet>> find(const RowTable& head, const float* x, std::span<const LogitQuery> queries,
                                            Compute& with, std::span<Memory> memory) const;

 private:
  struct Input;   // an input in 16 bits, and what its rounding can change
  struct Search;  // one query on its way
  bool quantise_row(const float* row, std::int64_t index, const KernelTable& kernels);
  Input quantise_input(const float* x, std::int16_t* quantised) const;
  void scan(std::span<Search> searches, const std::int16_t* x, Compute& with) const;
  void keep_best(const Search& search, std::int64_t begin, std::int64_t end, const std::int32_t* dots,
                 std::vector<float>& lowest) const;
  bool admit(const Search& search) const;
  void multiply(const RowTable& head, const float* x, const Search& search, Compute& with) const;
  void multiply_rows(const RowTable& head, const float* x, std::span<const std::size_t> which, Memory& memory,
                     Compute& with) const;
  bool is_answerable(const LogitQuery& query) const;

  bool usable_ = false;
  std::int64_t rows_ = 0, cols_ = 0, padded_ = 0;
  Buffer quants_;                         // (rows, padded) int8
  std::vector<float> scales_;             // (rows)
  std::vector<float> norms_, residuals_;  // (rows) |e| and |r|, rounded up
};

}  // namespace bitnet
