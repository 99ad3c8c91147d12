// Sums of ternary rows times integers with vpdpbusd: codes of four rows are brought together, byte by byte, and multiplied at
// once.
#include "kernels/avx512/codes.h"
#include "kernels/avx512/ops.h"

namespace bitnet::avx512 {
namespace {

constexpr int block_rows = 16;   // three blocks of lines stay in the first cache
constexpr int blocks_ahead = 2;  // prefetched
constexpr int fours = block_rows / 4;

// Rows whose sums are added up in registers, line by line.
struct Block {
  const std::uint8_t* rows[block_rows];  // the last one again, with q 0, where there are fewer
  __m512i q[fours];                      // of four rows each, the same in every lane
  std::int32_t minus_q;                  // minus the sum of q: code = weight + 1
};

// Written as an instruction because GCC 12 given intrinsics keeps sums in memory; as intrinsics where they are emulated.
void add_products(__m512i& sum, __m512i codes, __m512i q) {
#ifdef __AVX512VNNI__
  asm volatile("vpdpbusd %[q], %[codes], %[sum]" : [sum] "+v"(sum) : [codes] "v"(codes), [q] "v"(q));
#else
  sum = _mm512_dpbusd_epi32(sum, codes, q);
#endif
}

// Bytes (r0, r1, r2, r3) of the same place of four rows in each lane: lane 4 l + i of part k is byte 16 l + 4 k + i.
void bring_together(const std::uint8_t* const* rows, std::int64_t offset, __m512i (&parts)[4]) {
  const __m512i a = load512(rows[0] + offset), b = load512(rows[1] + offset), c = load512(rows[2] + offset),
                d = load512(rows[3] + offset);
  const __m512i low_ab = _mm512_unpacklo_epi8(a, b), high_ab = _mm512_unpackhi_epi8(a, b);
  const __m512i low_cd = _mm512_unpacklo_epi8(c, d), high_cd = _mm512_unpackhi_epi8(c, d);
  parts[0] = _mm512_unpacklo_epi16(low_ab, low_cd), parts[1] = _mm512_unpackhi_epi16(low_ab, low_cd);
  parts[2] = _mm512_unpacklo_epi16(high_ab, high_cd), parts[3] = _mm512_unpackhi_epi16(high_ab, high_cd);
}

void add_four_lanes(std::int32_t* to, __m128i values) {
  auto* at = reinterpret_cast<__m128i*>(to);
  _mm_storeu_si128(at, _mm_add_epi32(_mm_loadu_si128(at), values));
}

// Adds a line of every row of the block to 256 sums, of which sums[64 p + (0 to 63)] are plane p.
void combine_line(const Block& block, std::int64_t offset, std::int32_t* sums) {
  const __m512i three = _mm512_set1_epi8(3);
  __m512i acc[4][4];  // of each plane and part
  for (auto& plane : acc) {
    for (__m512i& sum : plane) sum = _mm512_set1_epi32(block.minus_q);
  }
  for (int f = 0; f < fours; ++f) {
    __m512i parts[4];
    bring_together(block.rows + 4 * f, offset, parts);
    for (int k = 0; k < 4; ++k) {
      add_products(acc[0][k], _mm512_and_si512(parts[k], three), block.q[f]);
      add_products(acc[1][k], _mm512_and_si512(_mm512_srli_epi16(parts[k], 2), three), block.q[f]);
      add_products(acc[2][k], _mm512_and_si512(_mm512_srli_epi16(parts[k], 4), three), block.q[f]);
      add_products(acc[3][k], _mm512_and_si512(_mm512_srli_epi16(parts[k], 6), three), block.q[f]);
    }
  }
  for (int plane = 0; plane < 4; ++plane) {
    for (int k = 0; k < 4; ++k) {
      std::int32_t* to = sums + 64 * plane + 4 * k;
      add_four_lanes(to, _mm512_castsi512_si128(acc[plane][k]));
      add_four_lanes(to + 16, _mm512_extracti32x4_epi32(acc[plane][k], 1));
      add_four_lanes(to + 32, _mm512_extracti32x4_epi32(acc[plane][k], 2));
      add_four_lanes(to + 48, _mm512_extracti32x4_epi32(acc[plane][k], 3));
    }
  }
}

// Rows [first, first + block_rows) of the list, as far as it goes.
Block block_of(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t first, std::int64_t count, const std::int8_t* q) {
  Block block;
  block.minus_q = 0;
  for (int f = 0; f < fours; ++f) {
    std::uint32_t four = 0;
    for (int k = 0; k < 4; ++k) {
      const std::int64_t i = first + 4 * f + k, row = rows[i < count ? i : count - 1];
      const std::int8_t value = i < count ? q[row] : std::int8_t{0};
      block.rows[4 * f + k] = w.lines + row * (w.cols / 4);
      block.minus_q -= value;
      four |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(value)) << 8 * k;
    }
    block.q[f] = _mm512_set1_epi32(static_cast<std::int32_t>(four));
  }
  return block;
}

}  // namespace

void ternary_combine(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const std::int8_t* q,
                     std::int32_t* sums) noexcept {
  const std::int64_t row_bytes = w.cols / 4;
  for (std::int64_t first = 0; first < count; first += block_rows) {
    const Block block = block_of(w, rows, first, count, q);
    // Whole rows of a later block, a few with each line of this one: memory likes runs of lines.
    std::int64_t fetched = first + blocks_ahead * block_rows;
    const std::int64_t left = count - fetched, fetching = left < block_rows ? left : block_rows;
    const std::int64_t from = fetched;
    for (std::int64_t line = 0; line < row_bytes; line += ternary_line_bytes) {
      for (; fetched < from + fetching * (line + ternary_line_bytes) / row_bytes; ++fetched) {
        const std::uint8_t* row = w.lines + rows[fetched] * row_bytes;
        for (std::int64_t at = 0; at < row_bytes; at += ternary_line_bytes) prefetch(row + at);
      }
      combine_line(block, line, sums + 4 * line);
    }
  }
}

}  // namespace bitnet::avx512
