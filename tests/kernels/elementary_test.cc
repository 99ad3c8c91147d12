// Our own exp, log, sin, cos and GELU against the C library's, and 16-bit floats against their definition.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/half.h"
#include "kernels/elementary.h"
#include "kernels/kernel_table.h"
#include "kernels/scalar/exp.h"

namespace bitnet {
namespace {

TEST(Exp, IsWithinTwoUlp) {
  double worst = 0;
  for (int i = -870000; i <= 880000; ++i) {
    const float x = static_cast<float>(i) * 1e-4f;
    const double truth = std::exp(static_cast<double>(x));
    const auto rounded = static_cast<float>(truth);
    const double ulp = static_cast<double>(std::nextafter(rounded, INFINITY) - rounded);
    worst = std::max(worst, std::fabs(static_cast<double>(scalar::exp(x)) - truth) / ulp);
  }
  EXPECT_LE(worst, 2.0);
}

TEST(Exp, HasDefinedEnds) {
  EXPECT_EQ(scalar::exp(0.0f), 1.0f);
  EXPECT_EQ(scalar::exp(-INFINITY), 0.0f);
  EXPECT_EQ(scalar::exp(-87.5f), 0.0f);
  EXPECT_EQ(scalar::exp(89.0f), INFINITY);
  EXPECT_TRUE(std::isnan(scalar::exp(std::nanf(""))));
}

TEST(Gelu, IsTheTanhForm) {
  const float up = 1.0f;
  for (int i = -120000; i <= 120000; ++i) {
    const float g = static_cast<float>(i) * 1e-4f;
    float y;
    scalar_table().gate(Activation::gelu, &g, &up, 1, &y);
    const auto x = static_cast<double>(g);
    const double truth = 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
    ASSERT_NEAR(static_cast<double>(y), truth, 1e-7 + 4e-7 * std::fabs(truth)) << g;
  }
}

TEST(Gelu, HasDefinedEnds) {
  const auto gelu = [](float g) {
    const float up = 2.0f;
    float y;
    scalar_table().gate(Activation::gelu, &g, &up, 1, &y);
    return y;
  };
  EXPECT_EQ(gelu(0.0f), 0.0f);
  EXPECT_EQ(gelu(1e30f), 2e30f);
  EXPECT_EQ(gelu(-1e30f), 0.0f);
  EXPECT_TRUE(std::isnan(gelu(std::nanf(""))));
}

TEST(Elementary, DoubleFunctionsAgreeWithTheLibrary) {
  for (double x = -700; x < 700; x += 0.37) EXPECT_NEAR(exp_f64(x) / std::exp(x), 1.0, 1e-15 * 4) << x;
  for (double x = 1e-300; x < 1e300; x *= 7.3)
    EXPECT_NEAR(log_f64(x), std::log(x), 1e-15 * 2 * std::max(1.0, std::fabs(std::log(x)))) << x;
  for (double x = -3000; x < 140000; x += 1.731) {
    double s, c;
    sincos_f64(x, s, c);
    EXPECT_NEAR(s, std::sin(x), 4e-15) << x;
    EXPECT_NEAR(c, std::cos(x), 4e-15) << x;
  }
  EXPECT_EQ(exp_f64(-800), 0.0);
  EXPECT_EQ(exp_f64(1e9), INFINITY);
  EXPECT_TRUE(std::isnan(log_f64(-1.0)));
}

TEST(RopeAngles, MatchTheFormula) {
  float inverse[64], cos[64], sin[64];
  rope_inverse_frequencies(500000.0, 128, inverse);
  for (int i = 0; i < 64; ++i) EXPECT_EQ(inverse[i], static_cast<float>(1.0 / std::pow(500000.0, 2.0 * i / 128))) << i;
  rope_angles(4095, inverse, 64, cos, sin);
  for (int i = 0; i < 64; ++i) {
    const double angle = static_cast<double>(4095.0f * inverse[i]);
    EXPECT_NEAR(cos[i], std::cos(angle), 6e-8);
    EXPECT_NEAR(sin[i], std::sin(angle), 6e-8);
  }
}

TEST(Half, RoundTripsEveryValue) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = f16_to_f32(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(value))));
    } else {
      EXPECT_EQ(f32_to_f16(value), half);
    }
  }
}

TEST(Half, RoundsToNearestEven) {
  EXPECT_EQ(f32_to_f16(1.0f + 0x1p-11f), 0x3c00);  // a tie goes to the even neighbour
  EXPECT_EQ(f32_to_f16(1.0f + 0x1.8p-10f), 0x3c02);
  EXPECT_EQ(f32_to_f16(65519.996f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0);
  EXPECT_EQ(f32_to_f16(0x1.8p-25f), 1);
  EXPECT_EQ(f32_to_f16(-0x1p-24f), 0x8001);
}

}  // namespace
}  // namespace bitnet
