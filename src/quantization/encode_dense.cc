// Rounds rows of floats to the dense types that can be written.
#include <algorithm>
#include <array>
#include <cmath>

#include "common/error.h"
#include "common/half.h"
#include "quantization/encode.h"
#include "quantization/packed_format.h"

namespace bitnet {
namespace {

struct Row {
  std::string_view name;
  std::int64_t row;

  [[noreturn]] void bad(std::size_t column, float value, std::string_view bound) const {
    fail(ErrorKind::bad_model, "tensor '{}': row {}, column {} has {}, {}", printable(name), row, column, value, bound);
  }
};

std::uint16_t f32_to_bf16(float value) {
  const auto bits = __builtin_bit_cast(std::uint32_t, value);
  if (value != value) return static_cast<std::uint16_t>(bits >> 16 | 0x40);  // stays a NaN, a quiet one
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

void store_u16(std::uint16_t bits, std::byte* p) {
  p[0] = static_cast<std::byte>(bits), p[1] = static_cast<std::byte>(bits >> 8);
}

// To the nearest integer, ties away from zero, for |x| below 2^23; the difference is exact.
int round_half_away(float x) {
  const int whole = static_cast<int>(x);
  const float rest = x - static_cast<float>(whole);
  return whole + static_cast<int>(rest * 2.0f);
}

std::uint32_t magnitude_bits(float x) { return __builtin_bit_cast(std::uint32_t, x) & 0x7fffffff; }

// max |x|: the bits of finite magnitudes are in the order of the numbers, and those of what is not finite above them.
float largest(std::span<const float> weights) {
  std::int32_t most = 0;
  for (const float x : weights) {
    const auto bits = static_cast<std::int32_t>(magnitude_bits(x));
    most = bits > most ? bits : most;
  }
  return __builtin_bit_cast(float, most);
}

// The first of the weights that has this magnitude.
std::size_t place_of(float magnitude, std::span<const float> weights) {
  std::size_t at = 0;
  while (at + 1 < weights.size() && magnitude_bits(weights[at]) != magnitude_bits(magnitude)) ++at;
  return at;
}

// 1 / d, or 0 where d is too small for that: a scale below the smallest half stands for zeros.
float inverse_of(float d) {
  const float inverse = 1.0f / d;
  return d != 0 && std::isfinite(inverse) ? inverse : 0.0f;
}

// A block of finite weights, of which `top` is the largest magnitude, and the place to name when they do not fit.
struct Block {
  std::span<const float> x;
  float top;
  const Row& row;
  std::size_t column;  // of x[0]

  [[noreturn]] void too_large(std::string_view bound) const {
    const std::size_t at = place_of(top, x);
    row.bad(column + at, x[at], bound);
  }
};

// half d, int8 q[32] with d = max|x| / 127.
void encode_q8_0(const Block& block, std::byte* out) {
  const float d = block.top / 127.0f, inverse = inverse_of(d);
  if (d > 65504.0f) block.too_large("Q8_0 holds up to 8.3e6");
  store_u16(f32_to_f16(d), out);
  std::array<int, 32> q;
  for (std::size_t i = 0; i < 32; ++i) q[i] = round_half_away(block.x[i] * inverse);
  for (std::size_t i = 0; i < 32; ++i) out[2 + i] = static_cast<std::byte>(q[i]);
}

// half d, nibbles[16]: d = the largest weight / -8, q = x / d + 8.5 cut off. The sum is made in double, as a fused multiply-add
// makes it in effect, because the reference's bytes come from machines that have one.
void encode_q4_0(const Block& block, std::byte* out) {
  const float d = block.x[place_of(block.top, block.x)] / -8.0f, inverse = inverse_of(d);
  if (std::fabs(d) > 65504.0f) block.too_large("Q4_0 holds up to 524032");
  store_u16(f32_to_f16(d), out);
  std::array<int, 32> q;
  for (std::size_t i = 0; i < 32; ++i) {
    const double shifted = static_cast<double>(block.x[i]) * static_cast<double>(inverse) + 8.5;
    const int whole = static_cast<int>(shifted);  // x / d is -8 to 8
    q[i] = whole > 15 ? 15 : whole;
  }
  for (std::size_t i = 0; i < 16; ++i) out[2 + i] = static_cast<std::byte>(q[i] | q[i + 16] << 4);
}

// One group of 16 under a scale: the numbers stored, and the sum of squares of what they are off.
struct Group {
  int scale = 0;  // int8, in units of d
  float error = 0;
  std::array<float, 16> q{};  // whole numbers, -32 to 31
};

Group try_scale(const float* x, float d, int scale) {
  constexpr float whole = 0x1.8p23f;  // adding it rounds to a whole number, ties to even
  const float step = d * static_cast<float>(scale), inverse = 1.0f / step;
  Group group{.scale = scale};
  float squares[4] = {};  // in lanes, so that they can be summed side by side
  for (std::size_t i = 0; i < 16; i += 4) {
    for (std::size_t lane = 0; lane < 4; ++lane) {
      float q = (x[i + lane] * inverse + whole) - whole;
      q = q < 31.0f ? q : 31.0f;
      q = q > -32.0f ? q : -32.0f;
      const float off = x[i + lane] - step * q;
      group.q[i + lane] = q, squares[lane] += off * off;
    }
  }
  group.error = (squares[0] + squares[1]) + (squares[2] + squares[3]);
  return group;
}

// First the step that fits the largest weight on 31; then two that fit it on -32 and near it, of the sign that this takes: a
// finer step for all the others may be worth what the largest is off.
Group best_group(const float* x, float d) {
  const float top = largest({x, 16});
  if (top == 0 || d == 0) return {};
  const auto scale_for = [&](float q) { return top / (q * d); };
  Group best = try_scale(x, d, std::clamp(static_cast<int>(std::ceil(scale_for(31.0f))), 1, 127));
  const int sign = x[place_of(top, {x, 16})] > 0 ? -1 : 1;
  for (const float q : {31.5f, 32.0f}) {
    const Group group = try_scale(x, d, sign * std::clamp(static_cast<int>(scale_for(q) + 0.5f), 1, 127));
    if (group.error < best.error) best = group;
  }
  return best;
}

// The smallest half that is at least `value`, a finite number.
float half_at_least(float value) {
  const std::uint16_t bits = f32_to_f16(value);
  const float half = f16_to_f32(bits);
  return half >= value ? half : f16_to_f32(static_cast<std::uint16_t>(bits + 1));
}

// low nibbles[128], high pairs[64], int8 scales[16], half d: d * scale * q.
void encode_q6_k(const Block& block, std::byte* out) {
  const float d = half_at_least(block.top / (31.0f * 127.0f));
  if (!std::isfinite(d)) block.too_large("Q6_K holds up to 2.5e8");
  std::array<int, 256> q;
  for (std::size_t g = 0; g < 16; ++g) {
    const Group group = best_group(block.x.data() + 16 * g, d);
    out[192 + g] = static_cast<std::byte>(group.scale);
    for (std::size_t i = 0; i < 16; ++i) q[16 * g + i] = static_cast<int>(group.q[i]) + 32;
  }
  store_u16(f32_to_f16(d), out + 208);
  for (std::size_t half = 0; half < 2; ++half) {
    const int* p = q.data() + 128 * half;
    for (std::size_t i = 0; i < 64; ++i) out[64 * half + i] = static_cast<std::byte>((p[i] & 15) | (p[i + 64] & 15) << 4);
    for (std::size_t i = 0; i < 32; ++i) {
      out[128 + 32 * half + i] =
          static_cast<std::byte>(p[i] >> 4 | p[i + 32] >> 4 << 2 | p[i + 64] >> 4 << 4 | p[i + 96] >> 4 << 6);
    }
  }
}

template <void encode(const Block&, std::byte*), std::size_t block_size, std::size_t block_bytes>
void encode_blocks(std::span<const float> weights, std::byte* out, const Row& row) {
  for (std::size_t at = 0; at < weights.size(); at += block_size, out += block_bytes) {
    const auto x = weights.subspan(at, block_size);
    const Block block{x, largest(x), row, at};
    if (!std::isfinite(block.top)) block.too_large("weights of a block must be finite");
    encode(block, out);
  }
}

template <std::uint16_t to_half(float)>
void encode_halves(std::span<const float> weights, std::byte* out, std::uint16_t infinity, std::string_view bound,
                   const Row& row) {
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const std::uint16_t half = to_half(weights[i]);
    if ((half & 0x7fff) == infinity && std::isfinite(weights[i])) row.bad(i, weights[i], bound);
    store_u16(half, out + 2 * i);
  }
}

}  // namespace

void encode_dense_row(DataType type, std::string_view name, std::int64_t row, std::span<const float> weights,
                      std::span<std::byte> out) {
  const auto cols = static_cast<std::int64_t>(weights.size());
  if (const auto clause = why_not(type, 1, cols)) fail(ErrorKind::usage, "tensor '{}': {}", printable(name), *clause);
  if (out.size() != encoded_bytes(type, 1, cols))
    fail(ErrorKind::usage, "a row of {} {} does not take {} bytes", cols, info(type).name, out.size());
  const Row place{name, row};
  switch (type) {
    case DataType::f32:
      for (std::size_t i = 0; i < weights.size(); ++i) store_scale(weights[i], false, out.data() + 4 * i);
      return;
    case DataType::f16:
      return encode_halves<f32_to_f16>(weights, out.data(), 0x7c00, "F16 holds up to 65504", place);
    case DataType::bf16:
      return encode_halves<f32_to_bf16>(weights, out.data(), 0x7f80, "BF16 holds up to 3.39e38", place);
    case DataType::q8_0:
      return encode_blocks<encode_q8_0, 32, 34>(weights, out.data(), place);
    case DataType::q4_0:
      return encode_blocks<encode_q4_0, 32, 18>(weights, out.data(), place);
    case DataType::q6_k:
      return encode_blocks<encode_q6_k, 256, 210>(weights, out.data(), place);
    default:
      fail(ErrorKind::usage, "tensor '{}': {} is ternary, its rows are not rounded from floats", printable(name),
           info(type).name);
  }
}

}  // namespace bitnet
