// Stands before a source of kernels/avx512 or kernels/avxvnni: its intrinsics become SIMDe's portable ones, so that a CPU
// without those instructions can run it. SIMDe 0.7 knows vpdpbusd by its AVX-512VL name only, and few
// conversions of 512 bits.
#pragma once

#include <immintrin.h>
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#define _mm256_dpbusd_avx_epi32 simde_mm256_dpbusd_epi32

// Two registers of eight floats as one of sixteen.
static inline simde__m512 emulated_join(__m256 low, __m256 high) {
  float values[16];
  _mm256_storeu_ps(values, low);
  _mm256_storeu_ps(values + 8, high);
  return simde_mm512_loadu_ps(values);
}

static inline simde__m512 emulated_cvtph(__m256i half) {
  return emulated_join(_mm256_cvtph_ps(_mm256_castsi256_si128(half)), _mm256_cvtph_ps(_mm256_extracti128_si256(half, 1)));
}

static inline simde__m512i emulated_cvtepi8(__m128i bytes) {
  int values[16];
  _mm256_storeu_si256((__m256i*)values, _mm256_cvtepi8_epi32(bytes));
  _mm256_storeu_si256((__m256i*)(values + 8), _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)));
  return simde_mm512_loadu_si512(values);
}

static inline simde__m512 emulated_cvtepi32(simde__m512i integers) {
  int values[16];
  simde_mm512_storeu_si512(values, integers);
  return emulated_join(_mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i*)values)),
                       _mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i*)(values + 8))));
}

#define _mm512_cvtph_ps emulated_cvtph
#define _mm512_cvtepi8_epi32 emulated_cvtepi8
#define _mm512_cvtepi32_ps emulated_cvtepi32
