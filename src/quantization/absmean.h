// Absmean: full-precision weights made ternary with one scale for the whole matrix.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/shape.h"
#include "common/thread_pool.h"

namespace bitnet {

// A weight w becomes round(w * factor), half to even, clamped to -1, 0 and 1, and stands for that times `scale`.
struct Absmean {
  float factor = 1;  // 1 / max(mean of |w| over the matrix, 1e-5)
  float scale = 1;   // 1 / factor
};

// As BitNet b1.58 was trained (Ma et al., 2024; transformers' WeightQuant). The mean is summed in float64 in one order,
// whatever the pool: row by row, in 16 lanes each. Throws Error{bad_model} naming the tensor when it is not finite. Of F32, F16
// or BF16.
Absmean find_absmean(const TensorView& tensor, std::string_view name, ThreadPool& pool);

// Codes (cols; weight + 1) of one row. Safe to call from several threads on different rows.
void absmean_row(const TensorView& tensor, const Absmean& absmean, std::int64_t row, std::uint8_t* codes);

}  // namespace bitnet
