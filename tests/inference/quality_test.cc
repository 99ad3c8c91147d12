// Which tokens of a text are scored, and the statistics of their scores, against figures worked out by hand.
#include "inference/quality.h"

#include <gmock/gmock.h>

#include <cmath>

#include "common/error.h"

namespace bitnet {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(TextWindows, StandBehindEachOther) {
  const auto windows = text_windows(1599, {.ctx = 512});
  ASSERT_EQ(windows.size(), 3u);
  for (std::size_t i = 0; i < windows.size(); ++i) {
    EXPECT_EQ(windows[i].begin, static_cast<std::int64_t>(512 * i));
    EXPECT_EQ(windows[i].end - windows[i].begin, 512);
    EXPECT_EQ(windows[i].first, 257) << "255 tokens are scored";
  }
  EXPECT_EQ(text_windows(1024, {.ctx = 512}).size(), 2u);
  EXPECT_EQ(text_windows(10, {.ctx = 5})[0].first, 3) << "of an odd window the smaller half";
  EXPECT_EQ(text_windows(1599, {.ctx = 512, .most = 2}).size(), 2u);
  EXPECT_EQ(text_windows(1599, {.ctx = 512, .most = 9}).size(), 3u);
}

TEST(TextWindows, OverlapWithAStride) {
  const auto windows = text_windows(100, {.ctx = 30, .stride = 8});
  ASSERT_EQ(windows.size(), 9u);  // (100 - 34 + 7) / 8
  EXPECT_EQ(windows[8].begin, 64);
  EXPECT_EQ(windows[8].end, 98);
  EXPECT_EQ(windows[8].first, 26) << "the last 8 are scored";
  EXPECT_EQ(windows[1].begin + windows[1].first, windows[0].end) << "each token once";
}

TEST(TextWindows, RefusesWhatScoresNothing) {
  EXPECT_THAT([] { text_windows(1023, {.ctx = 512}); }, ThrowsMessage<Error>(HasSubstr("1023 tokens, at least 1024")));
  EXPECT_THAT([] { text_windows(0, {.ctx = 512}); }, ThrowsMessage<Error>(HasSubstr("0 tokens")));
  EXPECT_THAT([] { text_windows(100, {.ctx = 2}); }, ThrowsMessage<Error>(HasSubstr("ctx is 2")));
  EXPECT_THAT([] { text_windows(100, {.ctx = 10, .stride = -1}); }, ThrowsMessage<Error>(HasSubstr("stride is -1")));
  EXPECT_THAT([] { text_windows(100, {.ctx = 10, .stride = 20}); }, ThrowsMessage<Error>(HasSubstr("leaves no context")));
  EXPECT_THAT([] { text_windows(100, {.ctx = 10, .most = 0}); }, ThrowsMessage<Error>(HasSubstr("chunks is 0")));
}

TEST(Mean, HasTheErrorOfItsMean) {
  Mean mean;
  for (const double x : {1.0, 2.0, 4.0, 9.0}) mean.add(x);
  EXPECT_DOUBLE_EQ(mean.estimate().value, 4.0);
  EXPECT_DOUBLE_EQ(mean.estimate().error, std::sqrt((102.0 / 4 - 16) / 3));
  EXPECT_DOUBLE_EQ(exp_of(mean.estimate()).error, std::exp(4.0) * mean.estimate().error);
  Mean one;
  one.add(3);
  EXPECT_EQ(one.estimate().value, 3.0);
  EXPECT_EQ(one.estimate().error, 0.0);
}

TEST(Percentile, LiesBetweenItsNeighbours) {
  const std::vector<double> values = {1, 2, 4, 8, 16};
  EXPECT_EQ(percentile(values, 0), 1);
  EXPECT_EQ(percentile(values, 0.5), 4);
  EXPECT_EQ(percentile(values, 1), 16);
  EXPECT_DOUBLE_EQ(percentile(values, 0.9), 8 + 0.6 * 8);
  EXPECT_EQ(percentile(std::vector<double>{7}, 0.3), 7);
}

TEST(DivergenceStatistics, AgreeWithTheirDefinitions) {
  const std::vector<TokenComparison> tokens = {
      {-1.0, -1.5, 0.2, true}, {-3.0, -2.0, 0.4, false}, {-0.5, -0.7, 0.1, true}, {-2.0, -2.5, 0.3, true}};
  DivergenceStatistics statistics;
  for (const TokenComparison& token : tokens) statistics.add(token);
  const DivergenceSummary s = statistics.summary();
  EXPECT_EQ(s.tokens, 4);
  EXPECT_NEAR(s.p_perplexity.value, std::exp(6.5 / 4), 1e-14);
  EXPECT_NEAR(s.q_perplexity.value, std::exp(6.7 / 4), 1e-14);
  EXPECT_NEAR(s.log_ratio.value, 0.05, 1e-15);
  // The error of the ratio is that of the mean of the tokens' differences: 0.5, -1, 0.2, 0.5.
  EXPECT_NEAR(s.log_ratio.error, std::sqrt((1.54 / 4 - 0.05 * 0.05) / 3), 1e-14);
  EXPECT_NEAR(s.ratio.value, std::exp(0.05), 1e-14);
  EXPECT_NEAR(s.divergence.value, 0.25, 1e-15);
  EXPECT_NEAR(s.same_top.value, 0.75, 1e-15);
  EXPECT_NEAR(s.same_top.error, std::sqrt(0.75 * 0.25 / 3), 1e-15);
  double sum = 0, squares = 0;
  for (const TokenComparison& t : tokens) {
    const double delta = std::exp(t.q_log_probability) - std::exp(t.p_log_probability);
    sum += delta, squares += delta * delta;
  }
  EXPECT_NEAR(s.delta.value, sum / 4, 1e-15);
  EXPECT_NEAR(s.delta_rms.value, std::sqrt(squares / 4), 1e-15);
  EXPECT_EQ(s.divergences.front().value, 0.1);
  EXPECT_EQ(s.divergences.back().value, 0.4);
  EXPECT_GT(s.correlation, 0.5);
  EXPECT_LT(s.correlation, 1.0);
}

}  // namespace
}  // namespace bitnet
