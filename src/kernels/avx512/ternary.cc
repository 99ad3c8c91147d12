// Ternary matmul with vpdpbusd on 512 bits: a line of 256 weights is one register, its four planes four instructions.
#include "kernels/avx512/codes.h"
#include "kernels/avx512/ops.h"

namespace bitnet::avx512 {
namespace {

constexpr std::int64_t bytes_ahead = 4096;  // prefetched of rows that follow one another

// code . q of one row; a sum for each plane, so that no addition waits for another. Planes 1 and 3 are left where they lie,
// four times as large, which saves a shift of each.
std::int32_t row_by_one(const std::uint8_t* row, const std::uint8_t* ahead, std::int64_t lines, const std::int8_t* q) {
  const __m512i low = _mm512_set1_epi8(0x03), high = _mm512_set1_epi8(0x0c);
  __m512i sums[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
  for (std::int64_t l = 0; l < lines; ++l) {
    const __m512i bytes = load512(row + l * ternary_line_bytes);
    const std::int8_t* x = q + l * ternary_line_cols;
    prefetch(ahead + l * ternary_line_bytes);
    const __m512i upper = _mm512_srli_epi16(bytes, 4);
    sums[0] = _mm512_dpbusd_epi32(sums[0], _mm512_and_si512(bytes, low), load512(x));
    sums[1] = _mm512_dpbusd_epi32(sums[1], _mm512_and_si512(bytes, high), load512(x + 64));
    sums[2] = _mm512_dpbusd_epi32(sums[2], _mm512_and_si512(upper, low), load512(x + 128));
    sums[3] = _mm512_dpbusd_epi32(sums[3], _mm512_and_si512(upper, high), load512(x + 192));
  }
  const __m256i fourfold = halves_of(_mm512_add_epi32(sums[1], sums[3]));
  return sum_of(_mm256_add_epi32(halves_of(_mm512_add_epi32(sums[0], sums[2])), _mm256_srai_epi32(fourfold, 2)));
}

struct Dot {
  static constexpr int row_tokens = 12, row_group = 2;

  static void dot(const Rows& rows, std::int64_t lines, const std::int8_t* q, std::int32_t out[streams]) {
    const bool in_order = rows.at[streams - 1] - rows.at[0] == (streams - 1) * lines * ternary_line_bytes;
    for (int r = 0; r < streams; ++r) {
      out[r] = row_by_one(rows.at[r], in_order ? rows.at[r] + bytes_ahead : rows.next[r], lines, q);
    }
  }

  // code . q of two packed rows and `tokens` tokens, codes unpacked in registers: 24 sums, two codes, one activation, two
  // lines and the mask are 30 of the 32 there are.
  template <int tokens>
  static void row_dot(const std::uint8_t* const (&rows)[row_group], std::int64_t lines, std::int64_t stride,
                      const std::int8_t* q, std::int32_t (&out)[row_group][tokens]) {
    __m512i sums[row_group][tokens];
    for (auto& of_row : sums) {
      for (__m512i& sum : of_row) sum = _mm512_setzero_si512();
    }
    Inputs<tokens> x(q, stride);
    for (std::int64_t l = 0; l < lines; ++l, x.advance()) {
      const std::int64_t at = l * ternary_line_bytes;
      prefetch(rows[0] + at + bytes_ahead), prefetch(rows[1] + at + bytes_ahead);
      add_line<tokens>(sums, load512(rows[0] + at), load512(rows[1] + at), x);
    }
    for (int r = 0; r < row_group; ++r) sums_of<tokens>(sums[r], out[r]);
  }

 private:
  // Rows of activations in groups of four: three multiples of the stride serve as offsets of all groups, so that addresses
  // fit the registers there are.
  template <int tokens>
  struct Inputs {
    const std::int8_t* group[(tokens + 3) / 4];
    std::int64_t stride, three_strides;

    Inputs(const std::int8_t* q, std::int64_t s) : stride(s), three_strides(3 * s) {
      for (std::size_t g = 0; g < std::size(group); ++g) group[g] = q + static_cast<std::int64_t>(g) * 4 * s;
    }
    void advance() {
      for (const std::int8_t*& p : group) p += ternary_line_cols;
    }
  };

  template <int tokens>
  static void add_line(__m512i (&sums)[row_group][tokens], __m512i a, __m512i b, const Inputs<tokens>& x) {
    const __m512i three = _mm512_set1_epi8(3);
    add_plane<0, tokens>(sums, _mm512_and_si512(a, three), _mm512_and_si512(b, three), x);
    a = _mm512_srli_epi16(a, 2), b = _mm512_srli_epi16(b, 2);
    add_plane<64, tokens>(sums, _mm512_and_si512(a, three), _mm512_and_si512(b, three), x);
    a = _mm512_srli_epi16(a, 2), b = _mm512_srli_epi16(b, 2);
    add_plane<128, tokens>(sums, _mm512_and_si512(a, three), _mm512_and_si512(b, three), x);
    a = _mm512_srli_epi16(a, 2), b = _mm512_srli_epi16(b, 2);
    add_plane<192, tokens>(sums, _mm512_and_si512(a, three), _mm512_and_si512(b, three), x);
  }

  template <int offset, int tokens, int token = 0>
  static void add_plane(__m512i (&sums)[row_group][tokens], __m512i a, __m512i b, const Inputs<tokens>& x) {
    add_token<offset, token % 4>(sums[0][token], sums[1][token], a, b, x.group[token / 4], x.stride, x.three_strides);
    if constexpr (token + 1 < tokens) add_plane<offset, tokens, token + 1>(sums, a, b, x);
  }

  // Written as instructions because GCC 12 given intrinsics keeps sums in memory; x is memory that no caller writes in the same
  // function. Where the instructions are emulated, as intrinsics.
  template <int offset, int place>
  static void add_token(__m512i& sum_a, __m512i& sum_b, __m512i a, __m512i b, const std::int8_t* x, std::int64_t stride,
                        std::int64_t three_strides) {
#ifdef __AVX512VNNI__
    __m512i q;
    const auto multiply = [&] {
      asm volatile("vpdpbusd %[q], %[a], %[sum_a]\n\tvpdpbusd %[q], %[b], %[sum_b]"
                   : [sum_a] "+v"(sum_a), [sum_b] "+v"(sum_b)
                   : [a] "v"(a), [b] "v"(b), [q] "v"(q));
    };
    if constexpr (place == 0) {
      asm volatile("vmovdqu64 %c[offset](%[x]), %[q]" : [q] "=v"(q) : [x] "r"(x), [offset] "i"(offset));
    } else if constexpr (place == 2) {
      asm volatile("vmovdqu64 %c[offset](%[x],%[s],2), %[q]" : [q] "=v"(q) : [x] "r"(x), [s] "r"(stride), [offset] "i"(offset));
    } else {
      const std::int64_t s = place == 1 ? stride : three_strides;
      asm volatile("vmovdqu64 %c[offset](%[x],%[s]), %[q]" : [q] "=v"(q) : [x] "r"(x), [s] "r"(s), [offset] "i"(offset));
    }
    multiply();
#else
    const __m512i q = load512(x + (place == 3 ? three_strides : place * stride) + offset);
    sum_a = _mm512_dpbusd_epi32(sum_a, a, q), sum_b = _mm512_dpbusd_epi32(sum_b, b, q);
#endif
  }

  template <int tokens>
  static void sums_of(const __m512i (&sums)[tokens], std::int32_t (&out)[tokens]) {
    int t = 0;
    for (; t + 4 <= tokens; t += 4) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + t), sums_of_four(sums[t], sums[t + 1], sums[t + 2], sums[t + 3]));
    }
    for (; t < tokens; ++t) out[t] = sum_of512(sums[t]);
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
