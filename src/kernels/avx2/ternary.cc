// Ternary matmul with maddubs: products of unsigned codes and signed activations added in pairs to 16 bits.
#include "kernels/avx2/codes.h"
#include "kernels/avx2/mac_tile.h"
#include "kernels/avx2/ops.h"

namespace bitnet::avx2 {
namespace {

// maddubs gives at most 2 * 2 * 128 = 512 per 16-bit lane, so 32 of them (16384) stay far from overflow: widen after 4 lines
// of 8.
constexpr std::int64_t lines_per_widening = 4;

constexpr std::int64_t bytes_ahead = 2048;  // prefetched where rows follow one another; memory answers within that

// Adds the 8 products of one line (256 weights) of one row to a 16-bit accumulator.
__m256i add_line(__m256i acc, const std::uint8_t* line, const std::int8_t* q) {
  const __m256i three = _mm256_set1_epi8(3);
  for (int half = 0; half < 2; ++half) {
    const __m256i bytes = load(line + 32 * half);
    const std::int8_t* x = q + 32 * half;
    acc = _mm256_add_epi16(acc, _mm256_maddubs_epi16(_mm256_and_si256(bytes, three), load(x)));
    acc = _mm256_add_epi16(acc, _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(bytes, 2), three), load(x + 64)));
    acc = _mm256_add_epi16(acc, _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(bytes, 4), three), load(x + 128)));
    acc = _mm256_add_epi16(acc, _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(bytes, 6), three), load(x + 192)));
  }
  return acc;
}

// code . q of `count` rows side by side, prefetching as many others.
template <int count>
void row_dots(const std::uint8_t* const* rows, const std::uint8_t* const* next, std::int64_t lines, const std::int8_t* q,
              std::int32_t* out) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sums[count] = {};
  for (std::int64_t l = 0; l < lines; l += lines_per_widening) {
    const std::int64_t end = l + lines_per_widening < lines ? l + lines_per_widening : lines;
    __m256i acc[count] = {};
    for (std::int64_t i = l; i < end; ++i) {
      for (int r = 0; r < count; ++r) {
        prefetch(next[r] + i * ternary_line_bytes);
        acc[r] = add_line(acc[r], rows[r] + i * ternary_line_bytes, q + i * ternary_line_cols);
      }
    }
    for (int r = 0; r < count; ++r) sums[r] = _mm256_add_epi32(sums[r], _mm256_madd_epi16(acc[r], ones));
  }
  for (int r = 0; r < count; ++r) out[r] = sum_of(sums[r]);
}

struct MultiplyAddPairs : UnsignedCodes {
  static constexpr int tile_rows = 2;

  // Rows that lie one behind the other are read in order, as the hardware's prefetcher likes best; rows from here and there
  // side by side, so that more of their lines are on the way at a time.
  static void dot(const Rows& rows, std::int64_t lines, const std::int8_t* q, std::int32_t out[streams]) {
    if (rows.at[streams - 1] - rows.at[0] == (streams - 1) * lines * ternary_line_bytes) {
      for (int r = 0; r < streams; ++r) {
        const std::uint8_t* ahead = rows.at[r] + bytes_ahead;
        row_dots<1>(rows.at + r, &ahead, lines, q, out + r);
      }
    } else {
      row_dots<streams>(rows.at, rows.next, lines, q, out);
    }
  }

  // code . q for 2 unpacked rows and `tokens` tokens.
  template <int tokens>
  static void tile_dot(const std::uint8_t* codes, std::int64_t cols, std::int64_t stride, const std::int8_t* q,
                       std::int32_t out[2][tokens]) {
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sums[2 * tokens] = {};  // token t of row r at 2 t + r
    constexpr std::int64_t block = lines_per_widening * ternary_line_cols;
    for (std::int64_t c = 0; c < cols; c += block) {
      const std::int64_t count = c + block < cols ? block : cols - c;
      __m256i acc[2 * tokens] = {};
      if constexpr (tokens == 6) {
        mac_two_by_six(codes + c, q + c, count, stride, acc);
      } else {
        mac(codes + c, q + c, count, stride, acc);
      }
      for (int i = 0; i < 2 * tokens; ++i) sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(acc[i], ones));
    }
    for (int t = 0; t < tokens; ++t) out[0][t] = sum_of(sums[2 * t]), out[1][t] = sum_of(sums[2 * t + 1]);
  }

 private:
  template <std::size_t accumulators>
  static void mac(const std::uint8_t* codes, const std::int8_t* q, std::int64_t count, std::int64_t stride,
                  __m256i (&acc)[accumulators]) {
    constexpr int tokens = accumulators / 2;
    for (std::int64_t i = 0; i < count; i += 32) {
      const __m256i w0 = load(codes + i), w1 = load(codes + stride + i);
      for (int t = 0; t < tokens; ++t) {
        const __m256i x = load(q + t * stride + i);
        acc[2 * t] = _mm256_add_epi16(acc[2 * t], _mm256_maddubs_epi16(w0, x));
        acc[2 * t + 1] = _mm256_add_epi16(acc[2 * t + 1], _mm256_maddubs_epi16(w1, x));
      }
      // Holds the accumulators in their registers: GCC 12 otherwise computes all products first and spills.
      for (__m256i& a : acc) asm volatile("" : "+x"(a));
    }
  }
};

}  // namespace

void ternary_matmul(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                    std::int64_t y_stride, std::byte* scratch) noexcept {
  multiply_ternary<MultiplyAddPairs>(w, begin, end, x, y, y_stride, scratch);
}

void ternary_rows(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const QuantisedRows& x,
                  float* y) noexcept {
  multiply_ternary_rows<MultiplyAddPairs>(w, rows, count, x, y);
}

}  // namespace bitnet::avx2
