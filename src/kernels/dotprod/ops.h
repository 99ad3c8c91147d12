// The one function that the dot product instructions of ARMv8.2 (FEAT_DotProd) replace in the NEON table.
#pragma once

#include "kernels/kernel_table.h"

namespace bitnet::dotprod {

void ternary_matmul(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                    std::int64_t y_stride, std::byte* scratch) noexcept;
void ternary_rows(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const QuantisedRows& x,
                  float* y) noexcept;

}  // namespace bitnet::dotprod
