// What the ternary kernels of x86 share on 256 bits: loads, sums, and a packed line by several tokens.
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

// Half a line by every token: 32 codes of each of the four planes. A Kernel's add_one<offset>(sum, codes, x, i) adds codes
// times the 32 activations at x + i + offset.
template <class Kernel, int half, std::size_t tokens>
inline void add_half(__m256i (&sums)[tokens], __m256i bytes, const std::int8_t* const (&x)[tokens], std::int64_t i) {
  const __m256i three = _mm256_set1_epi8(3);
  for (std::size_t t = 0; t < tokens; ++t) Kernel::template add_one<half>(sums[t], _mm256_and_si256(bytes, three), x[t], i);
  bytes = _mm256_srli_epi16(bytes, 2);
  for (std::size_t t = 0; t < tokens; ++t)
    Kernel::template add_one<half + 64>(sums[t], _mm256_and_si256(bytes, three), x[t], i);
  bytes = _mm256_srli_epi16(bytes, 2);
  for (std::size_t t = 0; t < tokens; ++t)
    Kernel::template add_one<half + 128>(sums[t], _mm256_and_si256(bytes, three), x[t], i);
  bytes = _mm256_srli_epi16(bytes, 2);
  for (std::size_t t = 0; t < tokens; ++t)
    Kernel::template add_one<half + 192>(sums[t], _mm256_and_si256(bytes, three), x[t], i);
}

// A packed line by the activations of every token from x[t] + i on.
template <class Kernel, std::size_t tokens>
inline void add_packed_line(__m256i (&sums)[tokens], const std::uint8_t* line, const std::int8_t* const (&x)[tokens],
                            std::int64_t i) {
  add_half<Kernel, 0>(sums, load(line), x, i);
  add_half<Kernel, 32>(sums, load(line + 32), x, i);
}

}  // namespace
}  // namespace bitnet
