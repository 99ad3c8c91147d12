// Sums of ternary rows times integers, two rows at a time by table lookup: what the widths of x86 share.
//
// Two codes make an index c0 + 4 c1; a table of sixteen 16-bit sums x0 (c0 - 1) + x1 (c1 - 1), as low and high bytes, is looked
// up with pshufb. A Kernel has
//   Table                                  made of the sums' low and high bytes, two __m128i
//   combine_line(block, offset, sums)      adds a line of every row of the block to 256 sums
// In an unnamed namespace, since each includer has its own flags.
#pragma once

#include <immintrin.h>

#include "kernels/kernel_table.h"

namespace bitnet {
namespace {

constexpr int block_rows = 32;  // their lines stay in the first cache; 16 pairs of at most 256 each are far from overflow

template <class Table>
struct PairBlock {
  const std::uint8_t* rows[block_rows];
  Table tables[block_rows / 2];
  int pairs;
};

template <class Table>
Table pair_table(int x0, int x1) {
  const __m256i first = _mm256_setr_epi16(-1, 0, 1, 0, -1, 0, 1, 0, -1, 0, 1, 0, -1, 0, 1, 0);
  const __m256i second = _mm256_setr_epi16(-1, -1, -1, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0);
  const __m256i sums = _mm256_add_epi16(_mm256_mullo_epi16(first, _mm256_set1_epi16(static_cast<short>(x0))),
                                        _mm256_mullo_epi16(second, _mm256_set1_epi16(static_cast<short>(x1))));
  const auto bytes = [](__m256i halves) {  // of sixteen values below 256
    return _mm256_castsi256_si128(_mm256_permute4x64_epi64(_mm256_packus_epi16(halves, halves), 0x88));
  };
  return Table(bytes(_mm256_and_si256(sums, _mm256_set1_epi16(0xff))), bytes(_mm256_srli_epi16(sums, 8)));
}

// Adds eight values of 16 bits to eight of 32.
inline void add_widened(std::int32_t* to, __m128i values) {
  auto* at = reinterpret_cast<__m256i*>(to);
  _mm256_storeu_si256(at, _mm256_add_epi32(_mm256_loadu_si256(at), _mm256_cvtepi16_epi32(values)));
}

template <class Kernel>
void combine_pairs(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const std::int8_t* q,
                   std::int32_t* sums) {
  using Table = typename Kernel::Table;
  const std::int64_t row_bytes = w.cols / 4;
  const auto row = [&](std::int64_t i) { return w.lines + rows[i] * row_bytes; };
  const auto fetch = [&](std::int64_t i, std::int64_t line) {
    _mm_prefetch(reinterpret_cast<const char*>(row(i) + line), _MM_HINT_T0);
  };
  for (std::int64_t i = 0; i < block_rows && i < count; ++i) {
    for (std::int64_t line = 0; line < row_bytes; line += ternary_line_bytes) fetch(i, line);
  }
  for (std::int64_t first = 0; first < count; first += block_rows) {
    const std::int64_t end = first + block_rows < count ? first + block_rows : count;
    const std::int64_t next = end + block_rows < count ? end + block_rows : count;
    PairBlock<Table> block;
    block.pairs = static_cast<int>((end - first + 1) / 2);
    for (int p = 0; p < block.pairs; ++p) {
      const std::int64_t i = first + 2 * p, j = i + 1 < end ? i + 1 : i;  // the last of an odd count stands alone
      block.rows[2 * p] = row(i), block.rows[2 * p + 1] = row(j);
      block.tables[p] = pair_table<Table>(q[rows[i]], j > i ? q[rows[j]] : 0);
    }
    for (std::int64_t line = 0; line < row_bytes; line += ternary_line_bytes) {
      for (std::int64_t i = end; i < next; ++i) fetch(i, line);
      Kernel::combine_line(block, line, sums + 4 * line);
    }
  }
}

}  // namespace
}  // namespace bitnet
