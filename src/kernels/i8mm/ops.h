// The one function that the matrix instructions of ARMv8.6 (FEAT_I8MM) replace in the dot product table.
#pragma once

#include "kernels/kernel_table.h"

namespace bitnet::i8mm {

void ternary_matmul(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                    std::int64_t y_stride, std::byte* scratch) noexcept;
void ternary_rows(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const QuantisedRows& x,
                  float* y) noexcept;

}  // namespace bitnet::i8mm
