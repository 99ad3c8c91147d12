// Ternary matmul with maddubs: products of unsigned codes and signed activations added in pairs to 16 bits.
#include "kernels/avx2/codes.h"
#include "kernels/avx2/sum_tables.h"

namespace bitnet::avx2 {
namespace {

// maddubs gives at most 2 * 2 * 128 = 512 per 16-bit lane, so the 56 of 7 lines (28672) do not overflow: then widen.
constexpr std::int64_t lines_per_widening = 7;

constexpr std::int64_t bytes_ahead = 4096;  // prefetched where rows follow one another; memory answers within that

// 16-bit sums of one row. Planes 1 and 3 are left where they lie, four times as large, which saves a shift of each: of a line
// that makes 4 * 4 * 512 = 8192 at most, so three lines.
struct RowSums {
  __m256i plain, fourfold;

  // Adds the 8 products of one line (256 weights).
  void add_line(const std::uint8_t* line, const std::int8_t* q) {
    const __m256i low = _mm256_set1_epi8(0x03), high = _mm256_set1_epi8(0x0c);
    for (int half = 0; half < 2; ++half) {
      const __m256i bytes = load(line + 32 * half), upper = _mm256_srli_epi16(bytes, 4);
      const std::int8_t* x = q + 32 * half;
      plain = _mm256_add_epi16(plain, _mm256_maddubs_epi16(_mm256_and_si256(bytes, low), load(x)));
      fourfold = _mm256_add_epi16(fourfold, _mm256_maddubs_epi16(_mm256_and_si256(bytes, high), load(x + 64)));
      plain = _mm256_add_epi16(plain, _mm256_maddubs_epi16(_mm256_and_si256(upper, low), load(x + 128)));
      fourfold = _mm256_add_epi16(fourfold, _mm256_maddubs_epi16(_mm256_and_si256(upper, high), load(x + 192)));
    }
  }
};
constexpr std::int64_t lines_of_row_sums = 3;

// code . q of `count` rows side by side, prefetching as many others.
template <int count>
void row_dots(const std::uint8_t* const* rows, const std::uint8_t* const* next, std::int64_t lines, const std::int8_t* q,
              std::int32_t* out) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sums[count] = {};
  for (std::int64_t l = 0; l < lines; l += lines_of_row_sums) {
    const std::int64_t end = l + lines_of_row_sums < lines ? l + lines_of_row_sums : lines;
    RowSums acc[count] = {};
    for (std::int64_t i = l; i < end; ++i) {
      for (int r = 0; r < count; ++r) {
        prefetch(next[r] + i * ternary_line_bytes);
        acc[r].add_line(rows[r] + i * ternary_line_bytes, q + i * ternary_line_cols);
      }
    }
    for (int r = 0; r < count; ++r) {
      const __m256i acc16 = _mm256_add_epi16(acc[r].plain, _mm256_srai_epi16(acc[r].fourfold, 2));
      sums[r] = _mm256_add_epi32(sums[r], _mm256_madd_epi16(acc16, ones));
    }
  }
  for (int r = 0; r < count; ++r) out[r] = sum_of(sums[r]);
}

struct MultiplyAddPairs {
  static constexpr int row_tokens = 8, row_group = 1;

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

  // code . q for one packed row and `tokens` tokens, codes unpacked in registers.
  template <int tokens>
  static void row_dot(const std::uint8_t* const (&rows)[row_group], std::int64_t lines, std::int64_t stride,
                      const std::int8_t* q, std::int32_t (&out)[row_group][tokens]) {
    __m256i sums[tokens] = {};
    const std::int8_t* x[tokens];
    for (int t = 0; t < tokens; ++t) x[t] = q + t * stride;
    for_widenings(lines, [&](std::int64_t first, std::int64_t last) {
      __m256i acc[tokens] = {};
      for (std::int64_t l = first; l < last; ++l) {
        const std::uint8_t* line = rows[0] + l * ternary_line_bytes;
        const std::int64_t i = l * ternary_line_cols;
        prefetch(line + bytes_ahead);
        add_packed_line<MultiplyAddPairs>(acc, line, x, i);
      }
      widen(acc, sums);
    });
    sums_of(sums, out[0]);
  }

  // body(first, last) over runs of as many lines as a 16-bit sum bears, equally long.
  template <class Body>
  static void for_widenings(std::int64_t lines, const Body& body) {
    const std::int64_t parts = (lines + lines_per_widening - 1) / lines_per_widening, each = (lines + parts - 1) / parts;
    for (std::int64_t first = 0; first < lines; first += each) body(first, first + each < lines ? first + each : lines);
  }

  // The inner loops are written as instructions because GCC 12 given intrinsics computes all products first and keeps
  // accumulators in memory, and given addresses keeps dozens of offsets there, which takes nearly twice the time. x is
  // memory that no caller writes in the same function.
  template <int offset>
  static void add_one(__m256i& acc, __m256i w, const std::int8_t* x, std::int64_t i) {
    __m256i product;
    asm volatile(
        "vpmaddubsw %c[offset](%[x],%[i]), %[w], %[product]\n\t"
        "vpaddw %[product], %[acc], %[acc]"
        : [acc] "+x"(acc), [product] "=&x"(product)
        : [w] "x"(w), [x] "r"(x), [i] "r"(i), [offset] "i"(offset));
  }

  template <std::size_t count>
  static void widen(const __m256i (&acc)[count], __m256i (&sums)[count]) {
    const __m256i ones = _mm256_set1_epi16(1);
    for (std::size_t i = 0; i < count; ++i) sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(acc[i], ones));
  }

  template <std::size_t count>
  static void sums_of(const __m256i (&sums)[count], std::int32_t* out) {
    std::size_t i = 0;
    for (; i + 4 <= count; i += 4) {
      const __m256i four =
          _mm256_hadd_epi32(_mm256_hadd_epi32(sums[i], sums[i + 1]), _mm256_hadd_epi32(sums[i + 2], sums[i + 3]));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i),
                       _mm_add_epi32(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1)));
    }
    for (; i < count; ++i) out[i] = sum_of(sums[i]);
  }
};

}  // namespace

void ternary_matmul(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                    std::int64_t y_stride, std::byte* scratch) noexcept {
  multiply_ternary_by_sums<MultiplyAddPairs>(w, begin, end, x, y, y_stride, scratch);
}

void ternary_rows(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const QuantisedRows& x,
                  float* y) noexcept {
  multiply_ternary_rows<MultiplyAddPairs>(w, rows, count, x, y);
}

}  // namespace bitnet::avx2
