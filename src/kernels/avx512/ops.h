// The functions that AVX-512 (F, BW, VNNI) replaces in the AVX2 table.
#pragma once

#include "kernels/kernel_table.h"

namespace bitnet::avx512 {

void ternary_matmul(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                    std::int64_t y_stride, std::byte* scratch) noexcept;
void ternary_rows(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const QuantisedRows& x,
                  float* y) noexcept;
void six_bit_scan(const std::uint8_t* rows, std::int64_t cols, std::int64_t begin, std::int64_t end, const std::int8_t* x,
                  std::int64_t inputs, std::int32_t* y, std::int64_t y_stride) noexcept;
void ternary_combine(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const std::int8_t* q,
                     std::int32_t* sums) noexcept;
void attend(KvType type, const KvChunk* chunks, std::int64_t count, const float* q, std::int64_t queries,
            const std::int32_t* hidden, const std::int32_t* visible, std::int64_t head_dim, const AttentionState& state,
            std::byte* scratch) noexcept;
void merge_states(const AttentionState& into, const AttentionState& from, std::int64_t queries, std::int64_t head_dim) noexcept;

}  // namespace bitnet::avx512
