// Sums of ternary rows times integers: two rows at a time by table lookup, as avx2/combine.cc explains, a whole line at once.
#include <immintrin.h>

#include "kernels/avx512/ops.h"

namespace bitnet::avx512 {
namespace {

constexpr int block_rows = 32;  // their lines stay in the first cache; 16 pairs of at most 256 each are far from overflow

struct PairTable {
  __m512i low, high;  // bytes of the sums, the same in all four lanes of 16 bytes
};

PairTable pair_table(int x0, int x1) {
  const __m256i first = _mm256_setr_epi16(-1, 0, 1, 0, -1, 0, 1, 0, -1, 0, 1, 0, -1, 0, 1, 0);
  const __m256i second = _mm256_setr_epi16(-1, -1, -1, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0);
  const __m256i sums = _mm256_add_epi16(_mm256_mullo_epi16(first, _mm256_set1_epi16(static_cast<short>(x0))),
                                        _mm256_mullo_epi16(second, _mm256_set1_epi16(static_cast<short>(x1))));
  const auto bytes = [](__m256i halves) {  // of sixteen values below 256
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi16(halves, halves), 0x88);
    return _mm512_broadcast_i32x4(_mm256_castsi256_si128(packed));
  };
  return {bytes(_mm256_and_si256(sums, _mm256_set1_epi16(0xff))), bytes(_mm256_srli_epi16(sums, 8))};
}

// Adds the 32 values of 16 bits to 32 bits: eight columns of each sixteen, from column `first` of each on.
void widen(std::int32_t* sums, int first, __m512i acc) {
  const auto add = [](std::int32_t* to, __m128i values) {
    auto* at = reinterpret_cast<__m256i*>(to);
    _mm256_storeu_si256(at, _mm256_add_epi32(_mm256_loadu_si256(at), _mm256_cvtepi16_epi32(values)));
  };
  add(sums + first, _mm512_castsi512_si128(acc));
  add(sums + first + 16, _mm512_extracti32x4_epi32(acc, 1));
  add(sums + first + 32, _mm512_extracti32x4_epi32(acc, 2));
  add(sums + first + 48, _mm512_extracti32x4_epi32(acc, 3));
}

struct Block {
  const std::uint8_t* rows[block_rows];
  PairTable tables[block_rows / 2];
  int pairs;
};

// A line of every row of the block: 256 columns, of which sums[64 p + (0 to 63)] are plane p.
void combine_line(const Block& block, std::int64_t offset, std::int32_t* sums) {
  const __m512i low_pair = _mm512_set1_epi8(0x33), high_pair = _mm512_set1_epi8(static_cast<char>(0xcc)),
                nibble = _mm512_set1_epi8(0x0f), zero = _mm512_setzero_si512();
  __m512i acc[4][2] = {{zero, zero}, {zero, zero}, {zero, zero}, {zero, zero}};
  for (int p = 0; p < block.pairs; ++p) {
    const __m512i first = _mm512_loadu_si512(block.rows[2 * p] + offset);
    const __m512i second = _mm512_loadu_si512(block.rows[2 * p + 1] + offset);
    const PairTable& table = block.tables[p];
    // Planes 0 and 2 in the nibbles of one, 1 and 3 in those of the other.
    const __m512i even =
        _mm512_or_si512(_mm512_and_si512(first, low_pair), _mm512_slli_epi16(_mm512_and_si512(second, low_pair), 2));
    const __m512i odd =
        _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(first, 2), low_pair), _mm512_and_si512(second, high_pair));
    const __m512i index[4] = {_mm512_and_si512(even, nibble), _mm512_and_si512(odd, nibble),
                              _mm512_and_si512(_mm512_srli_epi16(even, 4), nibble),
                              _mm512_and_si512(_mm512_srli_epi16(odd, 4), nibble)};
    for (int plane = 0; plane < 4; ++plane) {
      const __m512i low = _mm512_shuffle_epi8(table.low, index[plane]), high = _mm512_shuffle_epi8(table.high, index[plane]);
      acc[plane][0] = _mm512_add_epi16(acc[plane][0], _mm512_unpacklo_epi8(low, high));
      acc[plane][1] = _mm512_add_epi16(acc[plane][1], _mm512_unpackhi_epi8(low, high));
    }
  }
  for (int plane = 0; plane < 4; ++plane) {
    widen(sums + 64 * plane, 0, acc[plane][0]);
    widen(sums + 64 * plane, 8, acc[plane][1]);
  }
}

}  // namespace

void ternary_combine(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const std::int8_t* q,
                     std::int32_t* sums) noexcept {
  const std::int64_t row_bytes = w.cols / 4;
  const auto row = [&](std::int64_t i) { return w.lines + rows[i] * row_bytes; };
  for (std::int64_t first = 0; first < count; first += block_rows) {
    const std::int64_t end = first + block_rows < count ? first + block_rows : count;
    const std::int64_t next = end + block_rows < count ? end + block_rows : count;
    Block block;
    block.pairs = static_cast<int>((end - first + 1) / 2);
    for (int p = 0; p < block.pairs; ++p) {
      const std::int64_t i = first + 2 * p, j = i + 1 < end ? i + 1 : i;  // the last of an odd count stands alone
      block.rows[2 * p] = row(i), block.rows[2 * p + 1] = row(j);
      block.tables[p] = pair_table(q[rows[i]], j > i ? q[rows[j]] : 0);
    }
    for (std::int64_t line = 0; line < row_bytes; line += ternary_line_bytes) {
      for (std::int64_t i = end; i < next; ++i) _mm_prefetch(reinterpret_cast<const char*>(row(i) + line), _MM_HINT_T0);
      combine_line(block, line, sums + 4 * line);
    }
  }
}

}  // namespace bitnet::avx512
