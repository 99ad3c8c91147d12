// Double-precision exp, log, sin and cos by argument reduction and Taylor series.
#include "kernels/elementary.h"

#include <limits>

namespace bitnet {
namespace {

// ln 2 and pi / 2 in parts: the leading parts have trailing zero bits, so that k times them is exact for the k that occur.
constexpr double ln2_hi = 0x1.62e42feep-1, ln2_lo = 0x1.a39ef35793c76p-33;
constexpr double pio2_hi = 0x1.921fb544p+0, pio2_mid = 0x1.0b4611a6p-34, pio2_lo = 0x1.3198a2e037073p-69;

double nearest(double x) {  // to the nearest integer, ties to even; |x| < 2^51
  constexpr double shift = 0x1.8p52;
  return (x + shift) - shift;
}

double power_of_two(std::int64_t exponent) {  // exponent in [-1022, 1023]
  return __builtin_bit_cast(double, static_cast<std::uint64_t>(exponent + 1023) << 52);
}

}  // namespace

double exp_f64(double x) {
  if (x != x) return x;
  if (x < -745.0) return 0.0;
  if (x > 710.0) return std::numeric_limits<double>::infinity();
  const double k = nearest(x * 0x1.71547652b82fep+0);
  const double r = (x - k * ln2_hi) - k * ln2_lo;  // |r| <= ln 2 / 2, where the series below ends under 1e-17
  double sum = 1.0;
  for (int n = 14; n >= 1; --n) sum = 1.0 + r / n * sum;
  const auto exponent = static_cast<std::int64_t>(k);
  const std::int64_t half = exponent / 2;  // in two steps: 2^exponent alone may not be a normal number
  return sum * power_of_two(half) * power_of_two(exponent - half);
}

double log_f64(double x) {
  if (!(x > 0) || x > std::numeric_limits<double>::max()) return std::numeric_limits<double>::quiet_NaN();
  std::int64_t exponent = 0;
  if (x < 0x1p-1022) x *= 0x1p54, exponent = -54;
  const auto bits = __builtin_bit_cast(std::uint64_t, x);
  exponent += static_cast<std::int64_t>(bits >> 52) - 1023;
  double m = __builtin_bit_cast(double, (bits & 0xfffffffffffffull) | 0x3ff0000000000000ull);  // [1, 2)
  if (m > 0x1.6a09e667f3bcdp+0) m *= 0.5, ++exponent;
  const double s = (m - 1.0) / (m + 1.0), s2 = s * s;  // log m = 2 atanh s, |s| < 0.172
  double series = 0.0;
  for (int n = 23; n >= 3; n -= 2) series = (series + 1.0 / n) * s2;
  const auto k = static_cast<double>(exponent);
  return k * ln2_hi + (k * ln2_lo + (2.0 * s + 2.0 * s * series));
}

void sincos_f64(double x, double& sin, double& cos) {
  const double k = nearest(x * 0x1.45f306dc9c883p-1);  // 2 / pi
  const double r = ((x - k * pio2_hi) - k * pio2_mid) - k * pio2_lo, r2 = r * r;
  double c = 1.0, s = 1.0;
  for (int n = 18; n >= 2; n -= 2) {
    c = 1.0 - r2 / (n * (n - 1)) * c;
    s = 1.0 - r2 / (n * (n + 1)) * s;
  }
  s *= r;
  switch (static_cast<std::int64_t>(k) & 3) {
    case 0:
      sin = s, cos = c;
      break;
    case 1:
      sin = c, cos = -s;
      break;
    case 2:
      sin = -s, cos = -c;
      break;
    default:
      sin = -c, cos = s;
      break;
  }
}

void rope_inverse_frequencies(double theta, std::int64_t rope_dim, float* inverse) {
  const double log_theta = log_f64(theta);
  for (std::int64_t i = 0; i < rope_dim / 2; ++i) {
    inverse[i] = static_cast<float>(exp_f64(-log_theta * (static_cast<double>(2 * i) / static_cast<double>(rope_dim))));
  }
}

void rope_angles(std::int64_t position, const float* inverse, std::int64_t n, float* cos, float* sin) {
  for (std::int64_t i = 0; i < n; ++i) {
    double s, c;
    sincos_f64(static_cast<double>(static_cast<float>(position) * inverse[i]), s, c);
    cos[i] = static_cast<float>(c), sin[i] = static_cast<float>(s);
  }
}

}  // namespace bitnet
