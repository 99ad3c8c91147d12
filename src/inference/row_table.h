// RowTable: an embedding or a head, row by row as the file stores it; small ones are copied, large ones stay in the file.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/buffer.h"
#include "common/file_reader.h"
#include "common/thread_pool.h"
#include "inference/compute.h"
#include "kernels/kernel_table.h"
#include "models/model.h"
#include "tokenizers/tokenizer.h"

namespace bitnet {

// Decode reads one row of an embedding and a few of a scanned head: a copy of all of them would cost memory and bring no speed.
// Immutable once made; reading is safe from several threads, each with its own Rows.
class RowTable {
 public:
  static constexpr std::uint64_t copied_up_to = 64 << 20;  // bytes

  // What one thread reads rows into; a copied table's are only gathered in it.
  using Rows = Buffer;

  RowTable() = default;

  // Throws Error{unsupported} naming a tensor whose rows cannot be decoded alone, Error{too_big}, Error{io}.
  RowTable(const WeightTensor& weight, const MappedFile& file, ThreadPool& pool, std::uint64_t largest_copy = copied_up_to);

  bool empty() const { return rows_ == 0; }
  std::int64_t rows() const { return rows_; }
  std::int64_t cols() const { return cols_; }
  std::uint64_t stored_bytes() const { return static_cast<std::uint64_t>(rows_ * row_bytes_); }
  std::uint64_t resident_bytes() const { return copy_.size(); }

  // Rows [first, first + count) as a matrix, valid until `memory` is used again. Throws Error{io} when the file was changed.
  DenseMatrix read(std::int64_t first, std::int64_t count, Rows& memory) const;

  // The same for rows from here and there, in their order.
  DenseMatrix gather(std::span<const TokenId> rows, Rows& memory) const;

  // y[t * y_stride + r] = row r . x[t] for all rows, x (tokens, cols) densely. Throws as read() does.
  void multiply(const float* x, std::int64_t tokens, float* y, std::int64_t y_stride, Compute& with) const;

 private:
  void make_room(Rows& memory, std::size_t bytes) const;

  DataType type_ = DataType::f32;
  std::int64_t rows_ = 0, cols_ = 0, row_bytes_ = 0;
  Buffer copy_;  // empty where the rows stay in the file
  FileReader file_;
  std::uint64_t offset_ = 0;  // of the first row in the file
};

}  // namespace bitnet
