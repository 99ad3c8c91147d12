// Linear: the weights of one or more projections that share an input, in the form the kernels read.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/buffer.h"
#include "common/thread_pool.h"
#include "inference/compute.h"
#include "kernels/kernel_table.h"
#include "models/model.h"

namespace bitnet {

// Projections stacked by rows: their outputs lie one behind the other. Ternary ones are multiplied with int8 activations, dense
// ones with float32. Immutable once made.
class Linear {
 public:
  struct Part {
    std::int64_t first_row = 0, rows = 0;
    bool is_ternary = false;
    Buffer bytes;  // lines of `ternary`, or data of `dense`
    std::vector<float> scales;
    TernaryMatrix ternary{};
    DenseMatrix dense{};
    std::vector<float> input_norm;  // (cols) gain of an RMSNorm of this part's input alone; empty without
  };

  std::int64_t rows() const { return rows_; }
  std::int64_t cols() const { return cols_; }
  bool needs_quantised() const { return needs_quantised_; }
  bool needs_float() const { return needs_float_; }
  const std::vector<Part>& parts() const { return parts_; }
  bool has_input_norms() const { return !parts_.empty() && !parts_.front().input_norm.empty(); }  // all parts or none
  std::uint64_t bytes() const;

  // Copies or repacks a projection on the pool's threads and adds its rows. All of a Linear have the same cols.
  // Throws Error{bad_model} naming the tensor, Error{too_big} without memory.
  void add(const WeightTensor& weight, ThreadPool& pool, std::vector<float> input_norm = {});

 private:
  // `codes_of(row, codes)` unpacks one row.
  template <class CodesOf>
  void add_ternary(const WeightTensor& weight, std::span<const float> scales, ThreadPool& pool, const CodesOf& codes_of);
  void add_dense(const WeightTensor& weight, ThreadPool& pool);

  std::vector<Part> parts_;
  std::int64_t rows_ = 0, cols_ = 0;
  bool needs_quantised_ = false, needs_float_ = false;
};

// One batch of inputs in both forms; only those that the Linear needs are read.
struct LinearInput {
  const float* x;  // (tokens, x_stride)
  std::int64_t x_stride;
  QuantisedRows quantised;
};

// y[t * y_stride + r] for rows [begin, end) of one part, counted in it, on the calling thread, which is `thread` of the pool. y
// is that of the part's first row.
void multiply_part(const Linear::Part& part, std::int64_t begin, std::int64_t end, const LinearInput& in, std::int64_t tokens,
                   float* y, std::int64_t y_stride, Compute& with, int thread);

// The same for all rows of one part, shared out over the pool.
void multiply(const Linear::Part& part, const LinearInput& in, std::int64_t tokens, float* y, std::int64_t y_stride,
              Compute& with);

// y[t * y_stride + r] for all rows, shared out over the pool. Not for parts with inputs of their own.
void multiply(const Linear& w, const LinearInput& in, std::int64_t tokens, float* y, std::int64_t y_stride, Compute& with);

}  // namespace bitnet
