// TQ1_0 (base 3) and TQ2_0 (2 bits): ternary blocks of 256 with a half-precision scale each (llama.cpp; drawings in
// docs/formats.md).
#include "common/half.h"
#include "quantization/formats.h"

namespace bitnet {
namespace {

float half_at(const std::byte* p) {
  return f16_to_f32(static_cast<std::uint16_t>(std::to_integer<unsigned>(p[0]) | std::to_integer<unsigned>(p[1]) << 8));
}

// Digit n of a byte that holds ceil(value * 256 / 243), most significant digit first.
std::uint8_t trit(std::byte byte, int n) {
  constexpr unsigned power[5] = {1, 3, 9, 27, 81};
  const unsigned rest = std::to_integer<unsigned>(byte) * power[n] & 0xff;
  return static_cast<std::uint8_t>(rest * 3 >> 8);
}

}  // namespace

float tq1_0::scale(const std::byte* block_start) { return half_at(block_start + 52); }

void tq1_0::unpack(const std::byte* block_start, std::uint8_t* codes) {
  for (int n = 0; n < 5; ++n) {
    for (int m = 0; m < 32; ++m) codes[32 * n + m] = trit(block_start[m], n);
    for (int m = 0; m < 16; ++m) codes[160 + 16 * n + m] = trit(block_start[32 + m], n);
  }
  for (int n = 0; n < 4; ++n) {
    for (int m = 0; m < 4; ++m) codes[240 + 4 * n + m] = trit(block_start[48 + m], n);
  }
}

float tq2_0::scale(const std::byte* block_start) { return half_at(block_start + 64); }

void tq2_0::unpack(const std::byte* block_start, std::uint8_t* codes) {
  const auto* p = reinterpret_cast<const std::uint8_t*>(block_start);
  for (int half = 0; half < 2; ++half) {
    for (int n = 0; n < 4; ++n) {
      for (int m = 0; m < 32; ++m) codes[128 * half + 32 * n + m] = p[32 * half + m] >> (2 * n) & 3;
    }
  }
}

}  // namespace bitnet
