// What the ternary kernels of x86 share on 256 bits: loads, sums, and a line unpacked to bytes.
#pragma once

#include <immintrin.h>

#include "kernels/ternary_loops.h"

namespace bitnet {
namespace {

inline __m256i load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

inline void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

inline std::int32_t sum_of(__m256i v) {
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}

// The byte products of x86 multiply unsigned by signed: codes are the unsigned ones.
struct UnsignedCodes {
  using Code = std::uint8_t;
  static constexpr int tile_tokens = 6;

  static void unpack_line(const std::uint8_t* line, std::uint8_t* codes) {
    const __m256i three = _mm256_set1_epi8(3);
    for (int half = 0; half < 2; ++half) {
      const __m256i bytes = load(line + 32 * half);
      auto* out = reinterpret_cast<__m256i*>(codes + 32 * half);
      _mm256_storeu_si256(out, _mm256_and_si256(bytes, three));
      _mm256_storeu_si256(out + 2, _mm256_and_si256(_mm256_srli_epi16(bytes, 2), three));
      _mm256_storeu_si256(out + 4, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), three));
      _mm256_storeu_si256(out + 6, _mm256_and_si256(_mm256_srli_epi16(bytes, 6), three));
    }
  }
};

}  // namespace
}  // namespace bitnet
