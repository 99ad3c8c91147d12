// Ternary matmul with vpdpbusd on 256 bits: four products at a time added to a 32-bit lane, so that nothing can overflow.
#include "kernels/avx2/codes.h"
#include "kernels/avxvnni/ops.h"

namespace bitnet::avxvnni {
namespace {

struct Dot : UnsignedCodes {
  static constexpr int tile_rows = 2;

  // Odd planes are not shifted into place: their codes stand two bits higher, so their sums are four times too large.
  static void dot(const Rows& rows, std::int64_t lines, const std::int8_t* q, std::int32_t out[streams]) {
    const __m256i even = _mm256_set1_epi8(0x03), odd = _mm256_set1_epi8(0x0c);
    __m256i sums[streams] = {}, sums4[streams] = {};
    for (std::int64_t l = 0; l < lines; ++l) {
      const std::int8_t* x = q + l * ternary_line_cols;
      for (int half = 0; half < ternary_line_bytes; half += 32) {
        const __m256i x0 = load(x + half), x1 = load(x + 64 + half), x2 = load(x + 128 + half), x3 = load(x + 192 + half);
        for (int r = 0; r < streams; ++r) {
          const __m256i low = load(rows.at[r] + l * ternary_line_bytes + half), high = _mm256_srli_epi16(low, 4);
          sums[r] = _mm256_dpbusd_avx_epi32(sums[r], _mm256_and_si256(low, even), x0);
          sums4[r] = _mm256_dpbusd_avx_epi32(sums4[r], _mm256_and_si256(low, odd), x1);
          sums[r] = _mm256_dpbusd_avx_epi32(sums[r], _mm256_and_si256(high, even), x2);
          sums4[r] = _mm256_dpbusd_avx_epi32(sums4[r], _mm256_and_si256(high, odd), x3);
        }
      }
    }
    for (int r = 0; r < streams; ++r) out[r] = sum_of(_mm256_add_epi32(sums[r], _mm256_srai_epi32(sums4[r], 2)));
  }

  template <int tokens>
  static void tile_dot(const std::uint8_t* codes, std::int64_t cols, std::int64_t stride, const std::int8_t* q,
                       std::int32_t out[tile_rows][tokens]) {
    __m256i sums[tile_rows][tokens] = {};
    for (std::int64_t i = 0; i < cols; i += 32) {
      const __m256i w0 = load(codes + i), w1 = load(codes + stride + i);
      for (int t = 0; t < tokens; ++t) {
        const __m256i x = load(q + t * stride + i);
        sums[0][t] = _mm256_dpbusd_avx_epi32(sums[0][t], w0, x);
        sums[1][t] = _mm256_dpbusd_avx_epi32(sums[1][t], w1, x);
      }
    }
    for (int r = 0; r < tile_rows; ++r) {
      for (int t = 0; t < tokens; ++t) out[r][t] = sum_of(sums[r][t]);
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

}  // namespace bitnet::avxvnni
