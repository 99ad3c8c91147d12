// Ternary matmul with vpdpbusd on 512 bits: a line of 256 weights is one register, its four planes four instructions.
#include "kernels/avx2/codes.h"
#include "kernels/avx512/ops.h"

namespace bitnet::avx512 {
namespace {

__m512i load512(const void* p) { return _mm512_loadu_si512(p); }

std::int32_t sum_of512(__m512i v) {
  return sum_of(_mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1)));
}

struct Dot : UnsignedCodes {
  static constexpr int tile_rows = 4;

  // Odd planes are not shifted into place: their codes stand two bits higher, so their sums are four times too large.
  static void dot(const Rows& rows, std::int64_t lines, const std::int8_t* q, std::int32_t out[streams]) {
    const __m512i even = _mm512_set1_epi8(0x03), odd = _mm512_set1_epi8(0x0c);
    __m512i sums[streams], sums4[streams];
    for (int r = 0; r < streams; ++r) sums[r] = sums4[r] = _mm512_setzero_si512();
    for (std::int64_t l = 0; l < lines; ++l) {
      const std::int8_t* x = q + l * ternary_line_cols;
      const __m512i x0 = load512(x), x1 = load512(x + 64), x2 = load512(x + 128), x3 = load512(x + 192);
      for (int r = 0; r < streams; ++r) {
        const __m512i low = load512(rows.at[r] + l * ternary_line_bytes), high = _mm512_srli_epi16(low, 4);
        sums[r] = _mm512_dpbusd_epi32(sums[r], _mm512_and_si512(low, even), x0);
        sums4[r] = _mm512_dpbusd_epi32(sums4[r], _mm512_and_si512(low, odd), x1);
        sums[r] = _mm512_dpbusd_epi32(sums[r], _mm512_and_si512(high, even), x2);
        sums4[r] = _mm512_dpbusd_epi32(sums4[r], _mm512_and_si512(high, odd), x3);
      }
    }
    for (int r = 0; r < streams; ++r) out[r] = sum_of512(sums[r]) + sum_of512(sums4[r]) / 4;
  }

  template <int tokens>
  static void tile_dot(const std::uint8_t* codes, std::int64_t cols, std::int64_t stride, const std::int8_t* q,
                       std::int32_t out[tile_rows][tokens]) {
    __m512i sums[tile_rows][tokens];
    for (int r = 0; r < tile_rows; ++r) {
      for (int t = 0; t < tokens; ++t) sums[r][t] = _mm512_setzero_si512();
    }
    for (std::int64_t i = 0; i < cols; i += 64) {
      __m512i w[tile_rows];
      for (int r = 0; r < tile_rows; ++r) w[r] = load512(codes + r * stride + i);
      for (int t = 0; t < tokens; ++t) {
        const __m512i x = load512(q + t * stride + i);
        for (int r = 0; r < tile_rows; ++r) sums[r][t] = _mm512_dpbusd_epi32(sums[r][t], w[r], x);
      }
    }
    for (int r = 0; r < tile_rows; ++r) {
      for (int t = 0; t < tokens; ++t) out[r][t] = sum_of512(sums[r][t]);
    }
  }
};

}  // namespace

void ternary_matmul(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                    std::int64_t y_stride, std::byte* scratch) noexcept {
  multiply_ternary<Dot>(w, begin, end, x, y, y_stride, scratch);
}

void ternary_rows(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const QuantisedRows& x,
                  float* y) noexcept {
  multiply_ternary_rows<Dot>(w, rows, count, x, y);
}

}  // namespace bitnet::avx512
