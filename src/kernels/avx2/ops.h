// The AVX2 functions by name; they need AVX2 and F16C.
#pragma once

#include "kernels/kernel_table.h"

namespace bitnet::avx2 {

constexpr std::int64_t sum_table_tokens = 32, sum_table_rows = 1280;  // that one set of tables serves (sum_tables.h)

void rms_norm(const float* x, const float* gain, float eps, std::int64_t n, float* y) noexcept;
void quantise(const float* x, std::int64_t n, std::int64_t padded, std::int8_t* q, float* scale, std::int32_t* sum) noexcept;
void rms_norm_quantise(const float* x, const float* gain, float eps, std::int64_t n, std::int64_t padded, std::int8_t* q,
                       float* scale, std::int32_t* sum) noexcept;
void ternary_matmul(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                    std::int64_t y_stride, std::byte* scratch) noexcept;
void ternary_rows(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const QuantisedRows& x,
                  float* y) noexcept;
void ternary_combine(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const std::int8_t* q,
                     std::int32_t* sums) noexcept;
void dense_matmul(const DenseMatrix& w, std::int64_t begin, std::int64_t end, const float* x, std::int64_t tokens,
                  std::int64_t x_stride, float* y, std::int64_t y_stride, std::byte* scratch) noexcept;
void six_bit_scan(const std::uint8_t* rows, std::int64_t cols, std::int64_t begin, std::int64_t end, const std::int8_t* x,
                  std::int64_t inputs, std::int32_t* y, std::int64_t y_stride) noexcept;
void quantisation_error(const float* x, const std::int8_t* q, float step, std::int64_t n, float* squares,
                        float* error_squares) noexcept;
void decode(DataType type, const std::byte* blocks, std::int64_t n, float* y) noexcept;
void rope(float* x, std::int64_t heads, std::int64_t head_dim, std::int64_t rope_dim, RopeKind kind, const float* cos,
          const float* sin) noexcept;
void kv_store(KvType type, const float* key, const float* value, std::int64_t head_dim, KvChunk chunk,
              std::int64_t slot) noexcept;
void attend(KvType type, const KvChunk* chunks, std::int64_t count, const float* q, std::int64_t queries,
            const std::int32_t* hidden, const std::int32_t* visible, std::int64_t head_dim, const AttentionState& state,
            std::byte* scratch) noexcept;
void merge_states(const AttentionState& into, const AttentionState& from, std::int64_t queries, std::int64_t head_dim) noexcept;
void gate(Activation activation, const float* gate, const float* up, std::int64_t n, float* y) noexcept;
void add(float* x, const float* y, std::int64_t n) noexcept;
void scale(float* x, float factor, std::int64_t n) noexcept;
void softmax(float* x, std::int64_t n) noexcept;

}  // namespace bitnet::avx2
