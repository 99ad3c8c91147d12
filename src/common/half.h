// 16-bit floats: exact conversion of IEEE binary16 and bfloat16 to and from binary32.
#pragma once

#include <cstdint>

namespace bitnet {

float f16_to_f32(std::uint16_t half);   // exact
std::uint16_t f32_to_f16(float value);  // round to nearest, ties to even; a NaN stays a (quiet) NaN
inline float bf16_to_f32(std::uint16_t bits) { return __builtin_bit_cast(float, static_cast<std::uint32_t>(bits) << 16); }

}  // namespace bitnet
