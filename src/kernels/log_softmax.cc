// Sums of exponentials in 16 lanes; the loops are written so that compilers turn them into vector code without changing a bit.
#include "kernels/log_softmax.h"

#include <limits>

#include "kernels/elementary.h"
#include "kernels/lanes.h"

namespace bitnet {
namespace {

// ln 2 in two parts; the first times k is exact for the k that occur.
constexpr double ln2_hi = 0x1.62e42feep-1, ln2_lo = 0x1.a39ef35793c76p-33;

// exp(x) for x <= 0 (NaN gives NaN), 0 below -708; relative error below 1e-15. Without branches or divisions.
inline double exp_of_negative(double x) {
  const double shifted = x * 0x1.71547652b82fep+0 + 0x1.8p52;  // the integer nearest x / ln 2 is in the low bits
  const double k = shifted - 0x1.8p52;
  const double r = (x - k * ln2_hi) - k * ln2_lo;  // |r| <= ln 2 / 2: the Taylor series ends below 1e-17
  double p = 1.0 / 6227020800.0;                   // 1 / 13!
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  // In range, 2^k has an exponent from -1022 to 0: its bits are k shifted into place.
  const std::uint64_t power = (__builtin_bit_cast(std::uint64_t, shifted) + 1023u) << 52;
  const double result = p * __builtin_bit_cast(double, power);
  return x < -708.0 ? 0.0 : result;
}

float largest(const float* x, std::int64_t n) {
  float lanes[float_lanes];
  for (float& lane : lanes) lane = -std::numeric_limits<float>::infinity();
  const std::int64_t whole = n - n % float_lanes;
  for (std::int64_t i = 0; i < whole; i += float_lanes) {
    for (std::int64_t j = 0; j < float_lanes; ++j) lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
  }
  float most = -std::numeric_limits<float>::infinity();
  for (std::int64_t i = whole; i < n; ++i) most = x[i] > most ? x[i] : most;
  for (const float lane : lanes) most = lane > most ? lane : most;
  return most;
}

// sum of term(i) for i < n: element i is added to lane i mod 16, then lanes 8, 4, 2 and 1 apart.
template <class Term>
double sum_in_lanes(std::int64_t n, const Term& term) {
  double lanes[float_lanes] = {};
  const std::int64_t whole = n - n % float_lanes;
  for (std::int64_t i = 0; i < whole; i += float_lanes) {
    for (std::int64_t j = 0; j < float_lanes; ++j) lanes[j] += term(i + j);
  }
  for (std::int64_t i = whole; i < n; ++i) lanes[i - whole] += term(i);
  for (std::int64_t apart = float_lanes / 2; apart > 0; apart /= 2) {
    for (std::int64_t j = 0; j < apart; ++j) lanes[j] += lanes[j + apart];
  }
  return lanes[0];
}

}  // namespace

double log_sum_exp(const float* x, std::int64_t n) noexcept {
  const auto most = static_cast<double>(largest(x, n));
  const double sum = sum_in_lanes(n, [&](std::int64_t i) { return exp_of_negative(static_cast<double>(x[i]) - most); });
  return most + log_f64(sum);
}

double kl_divergence(const float* p, double p_log_sum, const float* q, double q_log_sum, std::int64_t n) noexcept {
  return sum_in_lanes(n, [&](std::int64_t i) {
    const double log_p = static_cast<double>(p[i]) - p_log_sum, log_q = static_cast<double>(q[i]) - q_log_sum;
    // Rounding may put a probability of nearly one a little above it.
    const double probability = exp_of_negative(log_p < 0.0 ? log_p : log_p > 0.0 ? 0.0 : log_p);
    const double term = probability * (log_p - log_q);
    return probability == 0.0 ? 0.0 : term;
  });
}

}  // namespace bitnet
