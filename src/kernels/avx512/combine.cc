// Sums of ternary rows times integers by the lookups of avx2/pair_tables.h: a whole line at once.
#include "kernels/avx2/pair_tables.h"
#include "kernels/avx512/ops.h"

namespace bitnet::avx512 {
namespace {

struct PairTable {
  PairTable() = default;
  PairTable(__m128i low_bytes, __m128i high_bytes)
      : low(_mm512_broadcast_i32x4(low_bytes)), high(_mm512_broadcast_i32x4(high_bytes)) {}
  __m512i low, high;  // bytes of the sums, the same in all four lanes of 16 bytes
};

// Adds the 32 values of 16 bits to 32 bits: eight columns of each sixteen.
void widen(std::int32_t* sums, __m512i acc) {
  add_widened(sums, _mm512_castsi512_si128(acc));
  add_widened(sums + 16, _mm512_extracti32x4_epi32(acc, 1));
  add_widened(sums + 32, _mm512_extracti32x4_epi32(acc, 2));
  add_widened(sums + 48, _mm512_extracti32x4_epi32(acc, 3));
}

// A line of every row of the block: 256 columns, of which sums[64 p + (0 to 63)] are plane p.
void combine_whole(const PairBlock<PairTable>& block, std::int64_t offset, std::int32_t* sums) {
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
    widen(sums + 64 * plane, acc[plane][0]);
    widen(sums + 64 * plane + 8, acc[plane][1]);
  }
}

struct Lookup {
  using Table = PairTable;
  static void combine_line(const PairBlock<PairTable>& block, std::int64_t offset, std::int32_t* sums) {
    combine_whole(block, offset, sums);
  }
};

}  // namespace

void ternary_combine(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const std::int8_t* q,
                     std::int32_t* sums) noexcept {
  combine_pairs<Lookup>(w, rows, count, q, sums);
}

}  // namespace bitnet::avx512
