// The one function that AVX-512 (F, BW, VNNI) replaces in the AVX2 table.
#pragma once

#include "kernels/kernel_table.h"

namespace bitnet::avx512 {

void ternary_matmul(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                    std::int64_t y_stride, std::byte* scratch) noexcept;
void ternary_rows(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const QuantisedRows& x,
                  float* y) noexcept;

}  // namespace bitnet::avx512
