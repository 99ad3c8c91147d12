// What the kernels on 512 bits share: loads and sums across registers.
#pragma once

#include "kernels/avx2/codes.h"

namespace bitnet {
namespace {

inline __m512i load512(const void* p) { return _mm512_loadu_si512(p); }

// The sum of both halves, lane by lane.
inline __m256i halves_of(__m512i v) { return _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1)); }

inline std::int32_t sum_of512(__m512i v) { return sum_of(halves_of(v)); }

// Sums of the lanes of four registers, in order.
inline __m128i sums_of_four(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  const __m512i four = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  const __m256i two = _mm256_add_epi32(_mm512_castsi512_si256(four), _mm512_extracti64x4_epi64(four, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1));
}

}  // namespace
}  // namespace bitnet
