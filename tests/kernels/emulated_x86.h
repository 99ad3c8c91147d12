// Stands before a source of kernels/avx512 or kernels/avxvnni: its intrinsics become SIMDe's portable ones, so that a CPU
// without those instructions can run it. SIMDe 0.7 knows vpdpbusd by its AVX-512VL name only.
#pragma once

#include <immintrin.h>
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#define _mm256_dpbusd_avx_epi32 simde_mm256_dpbusd_epi32
