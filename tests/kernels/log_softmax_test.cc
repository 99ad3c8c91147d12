// Log-softmax and Kullback-Leibler divergence against long double arithmetic of the C library.
#include "kernels/log_softmax.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace bitnet {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

std::vector<float> random_logits(std::size_t n, float spread, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float& value : x) value = spread * normal(random);
  return x;
}

double log_sum(const std::vector<float>& x) { return log_sum_exp(x.data(), static_cast<std::int64_t>(x.size())); }

long double exact_log_sum(const std::vector<float>& x) {
  long double most = -INFINITY, sum = 0;
  for (const float value : x) most = std::max(most, static_cast<long double>(value));
  for (const float value : x) sum += std::exp(static_cast<long double>(value) - most);
  return most + std::log(sum);
}

double divergence(const std::vector<float>& p, const std::vector<float>& q) {
  return kl_divergence(p.data(), log_sum(p), q.data(), log_sum(q), static_cast<std::int64_t>(p.size()));
}

TEST(LogSoftmax, SumIsExactToTheLastDigits) {
  for (const std::size_t n : {1u, 2u, 15u, 16u, 17u, 100u, 4096u, 128256u}) {
    for (const float spread : {0.0f, 1.0f, 8.0f, 300.0f}) {
      const std::vector<float> x = random_logits(n, spread, 7);
      const long double exact = exact_log_sum(x);
      const double bound = 1e-14 + 4e-16 * std::fabs(static_cast<double>(exact));
      EXPECT_NEAR(log_sum(x), static_cast<double>(exact), bound) << n << " logits, spread " << spread;
    }
  }
}

TEST(LogSoftmax, OneLogitHasProbabilityOne) {
  for (const float x : {0.0f, -1e30f, 3.5f, 1e30f}) EXPECT_EQ(log_sum({x}), static_cast<double>(x));
}

// A series of two: ln(1 + e^-d), through all the sizes that e^-d can have.
TEST(LogSoftmax, SmallPartnersCount) {
  for (double d = 0; d < 760; d += 0.37) {
    const auto x = static_cast<float>(-d);
    const long double exact = std::log1p(std::exp(static_cast<long double>(x)));
    EXPECT_NEAR(log_sum({0.0f, x}), static_cast<double>(exact), 3e-16) << d;
  }
}

TEST(LogSoftmax, InfinitiesAndNotANumber) {
  EXPECT_NEAR(log_sum({-infinity, 1.0f, 1.0f}), 1.0 + std::log(2.0), 1e-15);
  EXPECT_TRUE(std::isnan(log_sum({1.0f, std::nanf("")})));
  EXPECT_TRUE(std::isnan(log_sum({std::nanf(""), 1.0f, 2.0f})));
  EXPECT_TRUE(std::isnan(log_sum({1.0f, infinity})));
  EXPECT_TRUE(std::isnan(log_sum({-infinity, -infinity})));
  EXPECT_TRUE(std::isnan(log_sum({})));
}

TEST(KlDivergence, AgreesWithItsDefinition) {
  for (const std::size_t n : {2u, 31u, 4096u, 49152u}) {
    for (const float change : {1e-3f, 0.1f, 3.0f}) {
      const std::vector<float> p = random_logits(n, 4.0f, 1), noise = random_logits(n, change, 2);
      std::vector<float> q = p;
      for (std::size_t i = 0; i < n; ++i) q[i] += noise[i];
      const long double p_sum = exact_log_sum(p), q_sum = exact_log_sum(q);
      long double exact = 0;
      for (std::size_t i = 0; i < n; ++i) {
        const long double log_p = p[i] - p_sum, log_q = q[i] - q_sum;
        exact += std::exp(log_p) * (log_p - log_q);
      }
      EXPECT_NEAR(divergence(p, q), static_cast<double>(exact), 1e-14 + 1e-13 * static_cast<double>(exact))
          << n << " logits, change " << change;
    }
  }
}

TEST(KlDivergence, HasDefinedEnds) {
  const std::vector<float> x = random_logits(1000, 5.0f, 3);
  EXPECT_EQ(divergence(x, x), 0.0);
  EXPECT_EQ(divergence({0.0f, 0.0f}, {0.0f, -infinity}), std::numeric_limits<double>::infinity());
  EXPECT_NEAR(divergence({0.0f, -infinity}, {0.0f, 0.0f}), std::log(2.0), 1e-15);
  EXPECT_EQ(divergence({0.0f, -infinity}, {0.0f, -infinity}), 0.0);
  EXPECT_EQ(divergence({50.0f, -800.0f}, {50.0f, -900.0f}), 0.0);
}

}  // namespace
}  // namespace bitnet
