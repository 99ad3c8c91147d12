// Sums of ternary rows times integers by the lookups of pair_tables.h: half a line at once.
#include "kernels/avx2/ops.h"
#include "kernels/avx2/pair_tables.h"

namespace bitnet::avx2 {
namespace {

struct PairTable {
  PairTable() = default;
  PairTable(__m128i low_bytes, __m128i high_bytes)
      : low(_mm256_broadcastsi128_si256(low_bytes)), high(_mm256_broadcastsi128_si256(high_bytes)) {}
  __m256i low, high;  // bytes of the sums, the same in both halves
};

// Adds 16 values of 16 bits to 8 + 8 of 32: columns 0 to 7 and 16 to 23 of a plane's 32, or 8 to 15 and 24 to 31.
void widen(std::int32_t* sums, __m256i acc) {
  add_widened(sums, _mm256_castsi256_si128(acc));
  add_widened(sums + 16, _mm256_extracti128_si256(acc, 1));
}

// Half a line of every row of the block: 128 columns, of which sums[64 p + (0 to 31)] are plane p.
void combine_half(const PairBlock<PairTable>& block, std::int64_t offset, std::int32_t* sums) {
  const __m256i low_pair = _mm256_set1_epi8(0x33), high_pair = _mm256_set1_epi8(static_cast<char>(0xcc)),
                nibble = _mm256_set1_epi8(0x0f);
  __m256i acc[4][2] = {};
  for (int p = 0; p < block.pairs; ++p) {
    const auto* a = reinterpret_cast<const __m256i*>(block.rows[2 * p] + offset);
    const auto* b = reinterpret_cast<const __m256i*>(block.rows[2 * p + 1] + offset);
    const __m256i first = _mm256_loadu_si256(a), second = _mm256_loadu_si256(b);
    const PairTable& table = block.tables[p];
    // Planes 0 and 2 in the nibbles of one, 1 and 3 in those of the other.
    const __m256i even =
        _mm256_or_si256(_mm256_and_si256(first, low_pair), _mm256_slli_epi16(_mm256_and_si256(second, low_pair), 2));
    const __m256i odd =
        _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(first, 2), low_pair), _mm256_and_si256(second, high_pair));
    const __m256i index[4] = {_mm256_and_si256(even, nibble), _mm256_and_si256(odd, nibble),
                              _mm256_and_si256(_mm256_srli_epi16(even, 4), nibble),
                              _mm256_and_si256(_mm256_srli_epi16(odd, 4), nibble)};
    for (int plane = 0; plane < 4; ++plane) {
      const __m256i low = _mm256_shuffle_epi8(table.low, index[plane]), high = _mm256_shuffle_epi8(table.high, index[plane]);
      acc[plane][0] = _mm256_add_epi16(acc[plane][0], _mm256_unpacklo_epi8(low, high));
      acc[plane][1] = _mm256_add_epi16(acc[plane][1], _mm256_unpackhi_epi8(low, high));
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
    combine_half(block, offset, sums);
    combine_half(block, offset + 32, sums + 32);
  }
};

}  // namespace

void ternary_combine(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const std::int8_t* q,
                     std::int32_t* sums) noexcept {
  combine_pairs<Lookup>(w, rows, count, q, sums);
}

}  // namespace bitnet::avx2
