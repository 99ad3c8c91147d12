// HeadScan: which tokens have the highest logits? Six bits of every weight of the head are scanned, two more of the rows that a
// proven bound admits, and the few that these admit are multiplied exactly.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "common/buffer.h"
#include "common/thread_pool.h"
#include "inference/logits.h"
#include "inference/row_table.h"
#include "kernels/kernel_table.h"

namespace bitnet {

// Every logit it gives has the bits of the full head. The bound: a row e = s q + r, with q the scanned bits, and an input
// x = t p + d, with p of 14 bits, differ from the scanned s t (q . p) by |r . x + s q . d| <= |r| |x| + (|e| + |r|) |d| (Cauchy
// and Schwarz), and the rounding of the float32 sum by at most (cols / 16 + 16) 2^-24 |e| |x|. Six bits of q stand for the
// middle of the four int8 values that begin with them. Once the most promising rows are multiplied, six bits admit one random
// row in 25 for the 40 highest logits, and eight bits one in 700; so a find() reads three quarters of what one of int8 would.
// Immutable once made.
class HeadScan {
 public:
  HeadScan() = default;

  // Reads every row of `head` once, on the pool's threads; keeps no reference to it. Not usable where a row is not finite, has
  // more than 2^20 columns, or where the head is so small that the full one is as good.
  HeadScan(const DenseMatrix& head, const KernelTable& kernels, ThreadPool& pool);

  bool usable() const { return usable_; }
  std::uint64_t bytes() const;          // that are kept
  std::uint64_t scanned_bytes() const;  // of them, those that every find() reads

  // What find() works with and answers one query from.
  struct Memory {
    std::vector<float> upper;        // (rows) no logit is above it
    std::vector<float> block_upper;  // (rows / 64, rounded up) the largest `upper` of each 64 rows
    std::vector<float> low[2];       // (rows) what the low bits add, by byte of the input; of admitted rows
    std::vector<TokenId> ids;        // of the last answer
    std::vector<float> values;
  };

  // One answer for each query: `x` (queries, cols) are the head's inputs, which share one reading of the copy. nullopt where
  // the bound admits too many rows, or x is not finite: the full head is needed. An answer is valid until its `memory` is used
  // again, of which there are as many as queries. Throws Error{io} when the head's file was changed.
  std::vector<std::optional<LogitSet>> find(const RowTable& head, const float* x, std::span<const LogitQuery> queries,
                                            Compute& with, std::span<Memory> memory) const;

 private:
  struct Input;                                         // an input in two bytes, and what its rounding can change
  struct Search;                                        // one query on its way
  struct Row;                                           // what one is quantised in
  using Heap = std::vector<std::pair<float, TokenId>>;  // lower bounds and their rows, the least first
  bool quantise_row(Row& row, std::int64_t index, const KernelTable& kernels);
  Input quantise_input(const float* x, std::int8_t* planes) const;
  float bound(const Input& input, const std::vector<float>& residuals, std::size_t row) const;
  void scan(std::span<Search> searches, const std::int8_t* x, Compute& with) const;
  void keep_best(const Search& search, std::int64_t begin, std::int64_t end, const std::int32_t* dots, Heap& best) const;
  void reach(const RowTable& head, const float* x, Search& search, Compute& with) const;
  void admit(const Search& search) const;
  void refine(const Search& search, const std::int8_t* x, Compute& with) const;
  bool ask_for_more(const Search& search) const;
  void multiply(const RowTable& head, const float* x, const Search& search, Compute& with) const;
  void multiply_rows(const RowTable& head, const float* x, std::span<const std::size_t> which, Memory& memory,
                     Compute& with) const;
  bool is_answerable(const LogitQuery& query) const;

  bool usable_ = false;
  std::int64_t rows_ = 0, cols_ = 0, padded_ = 0;
  Buffer high_, low_;          // (rows, padded * 3 / 4) and (rows, padded / 4): planes of int8 (kernels/byte_planes.h)
  std::vector<float> scales_;  // (rows)
  std::vector<float> norms_;   // (rows) |e| + |r| + |s| sqrt(padded), which covers roundings; with r of six bits
  std::vector<float> residuals_, fine_residuals_;  // (rows) |r| of six bits, and of eight; these three rounded up
};

}  // namespace bitnet
