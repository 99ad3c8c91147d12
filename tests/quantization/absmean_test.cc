// Master weights become the same codes and scale as the numeric specification says, on any number of threads.
#include "quantization/absmean.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <random>

#include "common/error.h"
#include "quantization/ternary.h"

namespace bitnet {
namespace {

struct Matrix {
  std::int64_t rows, cols;
  std::vector<float> weights;

  TensorView view() const { return {DataType::f32, {{rows, cols}}, std::as_bytes(std::span(weights))}; }
};

std::vector<std::uint8_t> codes_of(const Matrix& m, const Absmean& absmean) {
  std::vector<std::uint8_t> codes(m.weights.size());
  for (std::int64_t r = 0; r < m.rows; ++r) absmean_row(m.view(), absmean, r, codes.data() + r * m.cols);
  return codes;
}

Absmean find(const Matrix& m, int threads = 1) {
  ThreadPool pool(threads);
  return find_absmean(m.view(), "w", pool);
}

TEST(Absmean, ScalesByTheMeanOfAllRows) {
  const Matrix m{2, 3, {1, -3, 0, 2, -2, 4}};  // mean of magnitudes: 2
  const Absmean absmean = find(m);
  EXPECT_EQ(absmean.factor, 0.5f);
  EXPECT_EQ(absmean.scale, 2.0f);
  EXPECT_THAT(codes_of(m, absmean), testing::ElementsAre(1, 0, 1, 2, 0, 2)) << "one half itself becomes 0";
}

TEST(Absmean, RoundsHalfToEvenBesideTies) {
  const float up = std::nextafter(1.0f, 2.0f);
  const Matrix m{1, 6, {1, up, -1, -up, 3, 6 - 2 * 1 - 2 * up + 1}};  // times about one half: 0.5 stays 0, more does not
  const Absmean absmean{0.5f, 2.0f};
  EXPECT_THAT(codes_of(m, absmean), testing::ElementsAre(1, 2, 1, 0, 2, 2));
}

TEST(Absmean, IsTheNearestCodeOfTheRoundedProduct) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 0.03f);
  Matrix m{37, 53, std::vector<float>(37 * 53)};
  for (float& w : m.weights) w = normal(random);
  const Absmean absmean = find(m);
  const std::vector<std::uint8_t> codes = codes_of(m, absmean);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const float rounded = std::nearbyint(m.weights[i] * absmean.factor);
    ASSERT_EQ(codes[i], 1 + static_cast<int>(std::fmin(std::fmax(rounded, -1.0f), 1.0f))) << i;
  }
}

TEST(Absmean, IsTheSameOnAnyNumberOfThreads) {
  std::mt19937 random(6);
  std::normal_distribution<float> normal(0, 1);
  Matrix m{301, 77, std::vector<float>(301 * 77)};
  for (float& w : m.weights) w = normal(random) * std::exp(8 * normal(random));
  const Absmean one = find(m, 1);
  for (const int threads : {2, 3, 8}) {
    EXPECT_EQ(find(m, threads).factor, one.factor);
    EXPECT_EQ(find(m, threads).scale, one.scale);
  }
}

TEST(Absmean, OfZerosIsZeroEverywhere) {
  const Matrix m{1, 4, {0, 0, -0.0f, 0}};
  const Absmean absmean = find(m);
  EXPECT_EQ(absmean.factor, 1.0f / 1e-5f);
  EXPECT_THAT(codes_of(m, absmean), testing::Each(1));
}

TEST(Absmean, RefusesWeightsThatAreNotFinite) {
  for (const float broken : {NAN, INFINITY, -INFINITY}) {
    const Matrix m{1, 4, {1, broken, 0, 1}};
    EXPECT_THAT([&] { find(m); }, testing::ThrowsMessage<Error>("tensor 'w': a weight is not finite"));
  }
  const Matrix huge{1, 2, {3e38f, 3e38f}};
  EXPECT_THAT([&] { find(huge); }, testing::ThrowsMessage<Error>(testing::HasSubstr("at most 1e30 is allowed")));
}

TEST(HfPacked, EachByteHoldsFourRows) {
  const std::vector<std::uint8_t> bytes = {0x96, 0x55, 0x18,
                                           0xaa};  // (2, 2): the worked column of docs/formats.md, and another
  const TensorView tensor{DataType::hf_packed, {{8, 2}}, std::as_bytes(std::span(bytes))};
  EXPECT_THAT(ternary_scales(tensor, "w")->values, testing::ElementsAre(1.0f));
  const std::vector<std::vector<int>> rows = {{2, 1}, {0, 2}, {1, 1}, {2, 2}, {1, 1}, {1, 2}, {2, 1}, {0, 2}};
  for (std::int64_t r = 0; r < 8; ++r) {
    std::uint8_t codes[2];
    unpack_row(tensor, "w", r, codes);
    EXPECT_THAT(codes, testing::ElementsAre(rows[static_cast<std::size_t>(r)][0], rows[static_cast<std::size_t>(r)][1])) << r;
  }
}

TEST(HfPacked, RefusesCodeThree) {
  const std::vector<std::uint8_t> bytes = {0xd5};
  const TensorView tensor{DataType::hf_packed, {{4, 1}}, std::as_bytes(std::span(bytes))};
  std::uint8_t code = 0;
  EXPECT_NO_THROW(unpack_row(tensor, "w", 2, &code));
  EXPECT_THAT([&] { unpack_row(tensor, "w", 3, &code); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("row 3, column 0 has code 3")));
}

}  // namespace
}  // namespace bitnet
