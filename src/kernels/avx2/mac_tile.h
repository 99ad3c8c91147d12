// The inner loop of the ternary matmul on AVX2: two rows of codes by six tokens, twelve accumulators in registers.
//
// Written out, since GCC 12 keeps two of the accumulators in memory: each iteration then waits for a store and a load, and the loop takes
// nearly twice the time.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace bitnet {
namespace {

// acc[2 t + r] = pair sums, in 16 bits, of row r's codes times token t's activations over `count` columns, a positive multiple of
// 32. Rows of both are `stride` bytes apart. The caller bounds `count` so that no lane overflows.
inline void mac_two_by_six(const std::uint8_t* codes, const std::int8_t* q, std::int64_t count, std::int64_t stride, __m256i acc[12]) {
  const std::uint8_t* const end = codes + count;
  const std::int8_t* q3 = q + 3 * stride;
// clang-format off
#define BITNET_ZERO(acc) "vpxor " acc ", " acc ", " acc "\n\t"
#define BITNET_TOKEN(from, first, second)      \
  "vmovdqu " from ", %%ymm14\n\t"              \
  "vpmaddubsw %%ymm14, %%ymm12, %%ymm15\n\t"   \
  "vpmaddubsw %%ymm14, %%ymm13, %%ymm14\n\t"   \
  "vpaddw %%ymm15, " first ", " first "\n\t"   \
  "vpaddw %%ymm14, " second ", " second "\n\t"
  asm volatile(
      BITNET_ZERO("%%ymm0") BITNET_ZERO("%%ymm1") BITNET_ZERO("%%ymm2") BITNET_ZERO("%%ymm3")
      BITNET_ZERO("%%ymm4") BITNET_ZERO("%%ymm5") BITNET_ZERO("%%ymm6") BITNET_ZERO("%%ymm7")
      BITNET_ZERO("%%ymm8") BITNET_ZERO("%%ymm9") BITNET_ZERO("%%ymm10") BITNET_ZERO("%%ymm11")
      ".p2align 5\n"
      "1:\n\t"
      "vmovdqu (%[codes]), %%ymm12\n\t"
      "vmovdqu (%[codes],%[stride]), %%ymm13\n\t"
      BITNET_TOKEN("(%[q])", "%%ymm0", "%%ymm1")
      BITNET_TOKEN("(%[q],%[stride])", "%%ymm2", "%%ymm3")
      BITNET_TOKEN("(%[q],%[stride],2)", "%%ymm4", "%%ymm5")
      BITNET_TOKEN("(%[q3])", "%%ymm6", "%%ymm7")
      BITNET_TOKEN("(%[q3],%[stride])", "%%ymm8", "%%ymm9")
      BITNET_TOKEN("(%[q3],%[stride],2)", "%%ymm10", "%%ymm11")
      "add $32, %[codes]\n\t"
      "add $32, %[q]\n\t"
      "add $32, %[q3]\n\t"
      "cmp %[end], %[codes]\n\t"
      "jne 1b\n\t"
      "vmovdqu %%ymm0, (%[acc])\n\t"
      "vmovdqu %%ymm1, 32(%[acc])\n\t"
      "vmovdqu %%ymm2, 64(%[acc])\n\t"
      "vmovdqu %%ymm3, 96(%[acc])\n\t"
      "vmovdqu %%ymm4, 128(%[acc])\n\t"
      "vmovdqu %%ymm5, 160(%[acc])\n\t"
      "vmovdqu %%ymm6, 192(%[acc])\n\t"
      "vmovdqu %%ymm7, 224(%[acc])\n\t"
      "vmovdqu %%ymm8, 256(%[acc])\n\t"
      "vmovdqu %%ymm9, 288(%[acc])\n\t"
      "vmovdqu %%ymm10, 320(%[acc])\n\t"
      "vmovdqu %%ymm11, 352(%[acc])"
      : [codes] "+r"(codes), [q] "+r"(q), [q3] "+r"(q3)
      : [stride] "r"(stride), [end] "r"(end), [acc] "r"(acc)
      : "ymm0", "ymm1", "ymm2", "ymm3", "ymm4", "ymm5", "ymm6", "ymm7", "ymm8", "ymm9", "ymm10", "ymm11", "ymm12", "ymm13", "ymm14",
        "ymm15", "cc", "memory");
#undef BITNET_TOKEN
#undef BITNET_ZERO
  // clang-format on
}

}  // namespace
}  // namespace bitnet
