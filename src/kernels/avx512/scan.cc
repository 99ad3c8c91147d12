// Dot products of rows of 6-bit codes with vpdpbusd on 512 bits; the two bytes of an input are multiplied apart.
#include "kernels/avx512/codes.h"
#include "kernels/avx512/ops.h"

namespace bitnet::avx512 {
namespace {

constexpr std::int64_t bytes_ahead = 4096;
constexpr std::int64_t block_rows = 32;  // stay in the second cache while four inputs after four, which stay in the first, pass

// A block's three lines one after the other, as instructions because GCC 12 given intrinsics loads the last one first, and
// twice, which halves what the hardware's prefetcher fetches. As intrinsics where they are emulated.
void load_in_order(const std::uint8_t* block, __m512i& first, __m512i& second, __m512i& third) {
#ifdef __AVX512VNNI__
  asm volatile("vmovdqu64 (%[p]), %[a]\n\tvmovdqu64 64(%[p]), %[b]\n\tvmovdqu64 128(%[p]), %[c]"
               : [a] "=&v"(first), [b] "=&v"(second), [c] "=&v"(third)
               : [p] "r"(block));
#else
  first = load512(block), second = load512(block + 64), third = load512(block + 128);
#endif
}

// The codes of a block: of columns 64 p to 64 p + 63 in codes[p].
void unpack(const std::uint8_t* block, __m512i (&codes)[4]) {
  const __m512i nibble = _mm512_set1_epi8(0x0f), top = _mm512_set1_epi8(0x30);
  __m512i first, second, tops;
  load_in_order(block, first, second, tops);
  const auto join = [&](__m512i low, __m512i high) {
    return _mm512_or_si512(_mm512_and_si512(low, nibble), _mm512_and_si512(high, top));
  };
  codes[0] = join(first, _mm512_slli_epi16(tops, 4));
  codes[1] = join(second, _mm512_slli_epi16(tops, 2));
  codes[2] = join(_mm512_srli_epi16(first, 4), tops);
  codes[3] = join(_mm512_srli_epi16(second, 4), _mm512_srli_epi16(tops, 2));
}

// One row by `inputs` inputs: it is unpacked once for all of them. Few have two sums for each of their bytes, so that additions
// do not wait for one another.
template <int inputs>
void scan_row(const std::uint8_t* row, std::int64_t cols, const std::int8_t* x, std::int32_t* y, std::int64_t y_stride) {
  constexpr int chains = inputs < 4 ? 2 : 1;
  __m512i sums[2 * inputs][chains];
  for (auto& of_byte : sums) {
    for (__m512i& sum : of_byte) sum = _mm512_setzero_si512();
  }
  for (std::int64_t c = 0; c < cols; c += six_bit_block_cols, row += six_bit_block_bytes) {
    __m512i codes[4];
    unpack(row, codes);
    for (std::int64_t b = 0; b < six_bit_block_bytes; b += 64) prefetch(row + bytes_ahead + b);
    for (int n = 0; n < 2 * inputs; ++n) {
      const std::int8_t* at = x + n * cols + c;
      __m512i &even = sums[n][0], &odd = sums[n][chains - 1];
      even = _mm512_dpbusd_epi32(even, codes[0], load512(at));
      odd = _mm512_dpbusd_epi32(odd, codes[1], load512(at + 64));
      even = _mm512_dpbusd_epi32(even, codes[2], load512(at + 128));
      odd = _mm512_dpbusd_epi32(odd, codes[3], load512(at + 192));
    }
  }
  for (int i = 0; i < inputs; ++i) {
    const auto total = [&](const __m512i(&of_byte)[chains]) {
      return sum_of512(chains == 1 ? of_byte[0] : _mm512_add_epi32(of_byte[0], of_byte[chains - 1]));
    };
    y[i * y_stride] = 128 * total(sums[2 * i]) + total(sums[2 * i + 1]);
  }
}

template <int inputs>
void scan_block(const std::uint8_t* rows, std::int64_t count, std::int64_t cols, const std::int8_t* x, std::int32_t* y,
                std::int64_t y_stride) {
  const std::int64_t row_bytes = cols / six_bit_block_cols * six_bit_block_bytes;
  for (std::int64_t r = 0; r < count; ++r) scan_row<inputs>(rows + r * row_bytes, cols, x, y + r, y_stride);
}

}  // namespace

void six_bit_scan(const std::uint8_t* rows, std::int64_t cols, std::int64_t begin, std::int64_t end, const std::int8_t* x,
                  std::int64_t inputs, std::int32_t* y, std::int64_t y_stride) noexcept {
  for (std::int64_t first = begin; first < end; first += block_rows) {
    const std::int64_t count = first + block_rows < end ? block_rows : end - first;
    const std::uint8_t* block = rows + first * (cols / six_bit_block_cols * six_bit_block_bytes);
    std::int32_t* out = y + first - begin;
    std::int64_t i = 0;
    const auto scan = [&]<int together>() {
      for (; i + together <= inputs; i += together)
        scan_block<together>(block, count, cols, x + 2 * i * cols, out + i * y_stride, y_stride);
    };
    scan.operator()<4>(), scan.operator()<2>(), scan.operator()<1>();
  }
}

}  // namespace bitnet::avx512
