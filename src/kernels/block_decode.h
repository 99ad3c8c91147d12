// One block of each stored dense type -> float32 (layouts: docs/formats.md, after ggml-common.h of llama.cpp).
//
// Included by scalar/dense.cc and by the dense.cc of other instruction sets: plain loops that the compiler vectorises for each,
// in an unnamed namespace so that no copy compiled for one instruction set can be linked into another. Without reassociation
// and contraction every copy gives the same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/data_type.h"

namespace bitnet {
namespace {

using Bytes = const std::uint8_t*;

inline std::uint16_t load_u16(Bytes p) { return static_cast<std::uint16_t>(p[0] | p[1] << 8); }

inline float block_half(std::uint16_t half) {  // as f16_to_f32, in a copy that belongs to this instruction set
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16;
  const std::uint32_t exponent = half >> 10 & 0x1f, mantissa = half & 0x3ff;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, magnitude) | sign);
  }
  if (exponent == 31) return __builtin_bit_cast(float, sign | 0x7f800000u | mantissa << 13 | (mantissa != 0 ? 0x400000u : 0u));
  return __builtin_bit_cast(float, sign | (exponent + 112) << 23 | mantissa << 13);
}

inline void decode_f32(Bytes p, float* y) {
  const std::uint32_t bits = p[0] | p[1] << 8 | p[2] << 16 | static_cast<std::uint32_t>(p[3]) << 24;
  *y = __builtin_bit_cast(float, bits);
}
inline void decode_f16(Bytes p, float* y) { *y = block_half(load_u16(p)); }
inline void decode_bf16(Bytes p, float* y) { *y = __builtin_bit_cast(float, static_cast<std::uint32_t>(load_u16(p)) << 16); }

inline void decode_q8_0(Bytes p, float* y) {  // half d, int8 q[32]: d * q
  const float d = block_half(load_u16(p));
  for (int i = 0; i < 32; ++i) y[i] = static_cast<float>(static_cast<std::int8_t>(p[2 + i])) * d;
}

inline void decode_q4_0(Bytes p, float* y) {  // half d, nibbles[16], low nibbles first: d * (q - 8)
  const float d = block_half(load_u16(p));
  for (int i = 0; i < 16; ++i) {
    y[i] = static_cast<float>((p[2 + i] & 15) - 8) * d;
    y[i + 16] = static_cast<float>((p[2 + i] >> 4) - 8) * d;
  }
}

inline void decode_q4_1(Bytes p, float* y) {  // half d, half m, nibbles[16]: d * q + m
  const float d = block_half(load_u16(p)), m = block_half(load_u16(p + 2));
  for (int i = 0; i < 16; ++i) {
    y[i] = static_cast<float>(p[4 + i] & 15) * d + m;
    y[i + 16] = static_cast<float>(p[4 + i] >> 4) * d + m;
  }
}

// The fifth bits of weights i and i + 16 stand at bits i and i + 16 of a 32-bit word.
inline int fifth_bit(Bytes high, int i) { return (high[i / 8] >> (i % 8) & 1) << 4; }

inline void decode_q5_0(Bytes p, float* y) {  // half d, 32 high bits, nibbles[16]: d * (q - 16)
  const float d = block_half(load_u16(p));
  for (int i = 0; i < 16; ++i) {
    y[i] = static_cast<float>(((p[6 + i] & 15) | fifth_bit(p + 2, i)) - 16) * d;
    y[i + 16] = static_cast<float>(((p[6 + i] >> 4) | fifth_bit(p + 2, i + 16)) - 16) * d;
  }
}

inline void decode_q5_1(Bytes p, float* y) {  // half d, half m, 32 high bits, nibbles[16]: d * q + m
  const float d = block_half(load_u16(p)), m = block_half(load_u16(p + 2));
  for (int i = 0; i < 16; ++i) {
    y[i] = static_cast<float>((p[8 + i] & 15) | fifth_bit(p + 4, i)) * d + m;
    y[i + 16] = static_cast<float>((p[8 + i] >> 4) | fifth_bit(p + 4, i + 16)) * d + m;
  }
}

// Q4_K and Q5_K: eight 6-bit scales and minimums in 12 bytes. The first four take the low 6 bits of bytes 0-3 and 4-7; the
// others the nibbles of bytes 8-11 with the top 2 bits of bytes 0-3 and 4-7 above them.
inline void k_scale(Bytes s, int j, float& scale, float& minimum) {
  if (j < 4) {
    scale = static_cast<float>(s[j] & 63), minimum = static_cast<float>(s[j + 4] & 63);
  } else {
    scale = static_cast<float>((s[j + 4] & 15) | (s[j - 4] >> 6) << 4);
    minimum = static_cast<float>((s[j + 4] >> 4) | (s[j] >> 6) << 4);
  }
}

inline void decode_q4_k(Bytes p, float* y) {  // half d, half dmin, scales[12], nibbles[128]: d * scale * q - dmin * minimum
  const float d = block_half(load_u16(p)), dmin = block_half(load_u16(p + 2));
  for (int j = 0; j < 8; ++j) {
    float scale, minimum;
    k_scale(p + 4, j, scale, minimum);
    const float s = d * scale, m = dmin * minimum;
    Bytes q = p + 16 + 32 * (j / 2);
    for (int i = 0; i < 32; ++i) y[32 * j + i] = s * static_cast<float>(j % 2 ? q[i] >> 4 : q[i] & 15) - m;
  }
}

inline void decode_q5_k(Bytes p,
                        float* y) {  // as Q4_K with high bits[32] before the nibbles: bit j of byte i for weight 32j + i
  const float d = block_half(load_u16(p)), dmin = block_half(load_u16(p + 2));
  for (int j = 0; j < 8; ++j) {
    float scale, minimum;
    k_scale(p + 4, j, scale, minimum);
    const float s = d * scale, m = dmin * minimum;
    Bytes high = p + 16, q = p + 48 + 32 * (j / 2);
    for (int i = 0; i < 32; ++i) {
      const int low = j % 2 ? q[i] >> 4 : q[i] & 15;
      y[32 * j + i] = s * static_cast<float>(low | (high[i] >> j & 1) << 4) - m;
    }
  }
}

inline void decode_q6_k(Bytes p, float* y) {  // low nibbles[128], high pairs[64], int8 scales[16], half d: d * scale * (q - 32)
  const float d = block_half(load_u16(p + 208));
  for (int half = 0; half < 2; ++half) {
    Bytes low = p + 64 * half, high = p + 128 + 32 * half, scales = p + 192 + 8 * half;
    for (int part = 0; part < 4; ++part) {
      for (int i = 0; i < 32; ++i) {
        const int nibble = low[i + 32 * (part % 2)] >> (part < 2 ? 0 : 4) & 15;
        const int q = (nibble | (high[i] >> (2 * part) & 3) << 4) - 32;
        const float s = d * static_cast<float>(static_cast<std::int8_t>(scales[2 * part + i / 16]));
        y[128 * half + 32 * part + i] = s * static_cast<float>(q);
      }
    }
  }
}

// Digit n of a base-3 byte, most significant first: the byte is ceil(value * 256 / 243), so multiplying by 3^n brings the digit
// to the top.
inline int trit(std::uint8_t byte, int n) {
  constexpr std::uint8_t power[5] = {1, 3, 9, 27, 81};
  const auto rest = static_cast<std::uint8_t>(byte * power[n]);
  return rest * 3 >> 8;
}

inline void decode_tq1_0(Bytes p,
                         float* y) {  // base 3: bytes[32] of 5 trits, bytes[16] of 5, bytes[4] of 4, half d: d * (trit - 1)
  const float d = block_half(load_u16(p + 52));
  for (int n = 0; n < 5; ++n) {
    for (int m = 0; m < 32; ++m) y[32 * n + m] = static_cast<float>(trit(p[m], n) - 1) * d;
    for (int m = 0; m < 16; ++m) y[160 + 16 * n + m] = static_cast<float>(trit(p[32 + m], n) - 1) * d;
  }
  for (int n = 0; n < 4; ++n) {
    for (int m = 0; m < 4; ++m) y[240 + 4 * n + m] = static_cast<float>(trit(p[48 + m], n) - 1) * d;
  }
}

inline void decode_tq2_0(Bytes p,
                         float* y) {  // bytes[64], half d: of each 32 bytes weight 32n + m is bits 2n of byte m: d * (q - 1)
  const float d = block_half(load_u16(p + 64));
  for (int half = 0; half < 2; ++half) {
    for (int n = 0; n < 4; ++n) {
      for (int m = 0; m < 32; ++m) y[128 * half + 32 * n + m] = static_cast<float>((p[32 * half + m] >> (2 * n) & 3) - 1) * d;
    }
  }
}

template <int block>
inline void decode_q2_0(Bytes p, float* y) {  // half d, bytes[block / 4] of four weights, low bits first: d * (q - 1)
  const float d = block_half(load_u16(p));
  for (int i = 0; i < block; ++i) y[i] = static_cast<float>((p[2 + i / 4] >> (2 * (i % 4)) & 3) - 1) * d;
}

inline void decode_ptq1_0(Bytes p, float* y) {  // base 3: bytes[16] of 5 trits, bytes[8] of 5, bytes[2] of 4, half d
  const float d = block_half(load_u16(p + 26));
  for (int n = 0; n < 5; ++n) {
    for (int m = 0; m < 16; ++m) y[16 * n + m] = static_cast<float>(trit(p[m], n) - 1) * d;
    for (int m = 0; m < 8; ++m) y[80 + 8 * n + m] = static_cast<float>(trit(p[16 + m], n) - 1) * d;
  }
  for (int n = 0; n < 4; ++n) {
    for (int m = 0; m < 2; ++m) y[120 + 2 * n + m] = static_cast<float>(trit(p[24 + m], n) - 1) * d;
  }
}

// Rows that begin with their scale; n is the whole row.
inline void decode_iq1_bn_row(Bytes p, std::int64_t n, float* y) {  // half d, blocks of 64 in 13 bytes
  const float d = block_half(load_u16(p));
  p += 2;
  for (std::int64_t i = 0; i < n;
       i += 64, p += 13, y += 64) {  // of 16 weights 15 in three bytes, last trit on top, the 16th in p[12]
    for (int group = 0; group < 4; ++group) {
      for (int j = 0; j < 15; ++j) y[16 * group + j] = static_cast<float>(trit(p[3 * group + j / 5], 4 - j % 5) - 1) * d;
      y[16 * group + 15] = static_cast<float>(trit(p[12], 4 - group) - 1) * d;
    }
  }
}

inline void decode_iq2_bn_row(Bytes p, std::int64_t n,
                              float* y) {  // float d, blocks of 64 in 16 bytes: weight j is bits 2 * (j / 16) of byte j % 16
  float d;
  decode_f32(p, &d);
  p += 4;
  for (std::int64_t i = 0; i < n; i += 64, p += 16, y += 64) {
    for (int plane = 0; plane < 4; ++plane) {
      for (int m = 0; m < 16; ++m) y[16 * plane + m] = static_cast<float>((p[m] >> (2 * plane) & 3) - 1) * d;
    }
  }
}

template <void decode_block(Bytes, float*), int block, int block_bytes>
void decode_blocks(Bytes p, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; i += block, p += block_bytes) decode_block(p, y + i);
}

// n weights from the start of a row of a type whose rows lie apart.
inline void decode_row(DataType type, const std::byte* blocks, std::int64_t n, float* y) {
  const auto p = reinterpret_cast<Bytes>(blocks);
  switch (type) {
    case DataType::f32:
      return decode_blocks<decode_f32, 1, 4>(p, n, y);
    case DataType::f16:
      return decode_blocks<decode_f16, 1, 2>(p, n, y);
    case DataType::bf16:
      return decode_blocks<decode_bf16, 1, 2>(p, n, y);
    case DataType::q8_0:
      return decode_blocks<decode_q8_0, 32, 34>(p, n, y);
    case DataType::q4_0:
      return decode_blocks<decode_q4_0, 32, 18>(p, n, y);
    case DataType::q4_1:
      return decode_blocks<decode_q4_1, 32, 20>(p, n, y);
    case DataType::q5_0:
      return decode_blocks<decode_q5_0, 32, 22>(p, n, y);
    case DataType::q5_1:
      return decode_blocks<decode_q5_1, 32, 24>(p, n, y);
    case DataType::q4_k:
      return decode_blocks<decode_q4_k, 256, 144>(p, n, y);
    case DataType::q5_k:
      return decode_blocks<decode_q5_k, 256, 176>(p, n, y);
    case DataType::q6_k:
      return decode_blocks<decode_q6_k, 256, 210>(p, n, y);
    case DataType::tq1_0:
      return decode_blocks<decode_tq1_0, 256, 54>(p, n, y);
    case DataType::tq2_0:
      return decode_blocks<decode_tq2_0, 256, 66>(p, n, y);
    case DataType::iq1_bn:
      return decode_iq1_bn_row(p, n, y);
    case DataType::iq2_bn:
      return decode_iq2_bn_row(p, n, y);
    case DataType::q2_0:
      return decode_blocks<decode_q2_0<64>, 64, 18>(p, n, y);
    case DataType::q2_0_g128:
    case DataType::pq2_0:
      return decode_blocks<decode_q2_0<128>, 128, 34>(p, n, y);
    case DataType::ptq1_0:
      return decode_blocks<decode_ptq1_0, 128, 28>(p, n, y);
    case DataType::i2_s:
    case DataType::iq2_bn_r4:
    case DataType::tl1:
    case DataType::tl2:
    case DataType::hf_packed:
      return;  // no row of them lies apart
  }
}

}  // namespace
}  // namespace bitnet
