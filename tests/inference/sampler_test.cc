// Each step of the sampling chain, and that draws follow probabilities and depend on nothing but their key.
#include "inference/sampler.h"

#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "common/error.h"

namespace bitnet {
namespace {

SamplingParams everything() {  // every step off
  SamplingParams p;
  p.temperature = 1, p.top_k = 0, p.top_p = 1, p.min_p = 0, p.typical_p = 1;
  return p;
}

std::vector<double> frequencies(const SamplingParams& params, const std::vector<float>& logits,
                                std::span<const TokenId> history = {}, int draws = 20000) {
  Sampler sampler(params, static_cast<std::int64_t>(logits.size()));
  std::vector<double> counts(logits.size());
  for (int i = 0; i < draws; ++i)
    ++counts[static_cast<std::size_t>(sampler.sample({{}, logits}, history, static_cast<std::uint64_t>(i)))];
  for (double& c : counts) c /= draws;
  return counts;
}

const std::vector<float> logits_of_halves = {std::log(0.5f), std::log(0.25f), std::log(0.125f), std::log(0.0625f),
                                             std::log(0.0625f)};

void expect_near(const std::vector<double>& found, const std::vector<double>& wanted) {
  for (std::size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(found[i], wanted[i], 0.015) << "token " << i;
}

TEST(Sampler, DrawsByProbability) {
  expect_near(frequencies(everything(), logits_of_halves), {0.5, 0.25, 0.125, 0.0625, 0.0625});
}

TEST(Sampler, TemperatureSharpens) {
  SamplingParams p = everything();
  p.temperature = 0.5f;  // squares the probabilities
  const double total = 0.25 + 0.0625 + 0.015625 + 2 * 0.00390625;
  expect_near(frequencies(p, logits_of_halves),
              {0.25 / total, 0.0625 / total, 0.015625 / total, 0.00390625 / total, 0.00390625 / total});
}

TEST(Sampler, GreedyTakesTheLowestIdOfATie) {
  SamplingParams p;
  p.temperature = 0;
  Sampler sampler(p, 4);
  EXPECT_EQ(sampler.sample({{}, std::vector<float>{1, 3, 3, 2}}, {}, 0), 1);
}

TEST(Sampler, TopKKeepsTheBestAndTheLowestIdOfATie) {
  SamplingParams p = everything();
  p.top_k = 4;
  const auto f = frequencies(p, logits_of_halves);
  EXPECT_EQ(f[4], 0);
  EXPECT_GT(f[3], 0);
}

TEST(Sampler, TopPKeepsTheSmallestSufficientPrefix) {
  SamplingParams p = everything();
  p.top_p = 0.74f;
  expect_near(frequencies(p, logits_of_halves), {2.0 / 3, 1.0 / 3, 0, 0, 0});
  p.top_p = 1e-6f;
  expect_near(frequencies(p, logits_of_halves), {1, 0, 0, 0, 0});
}

TEST(Sampler, MinPComparesWithTheBest) {
  SamplingParams p = everything();
  p.min_p = 0.3f;
  expect_near(frequencies(p, logits_of_halves), {2.0 / 3, 1.0 / 3, 0, 0, 0});
}

TEST(Sampler, TypicalKeepsTheExpectedSurprise) {
  SamplingParams p = everything();
  p.typical_p = 0.2f;  // the entropy is 1.875 bits: 0.25 (2 bits) is the most typical token
  expect_near(frequencies(p, logits_of_halves), {0, 1, 0, 0, 0});
}

TEST(Sampler, PenaltiesLookAtTheWindow) {
  SamplingParams p = everything();
  p.temperature = 0;
  const std::vector<float> logits = {2.0f, 1.9f, -1.0f};
  const std::vector<TokenId> history = {0, 1, 1, 0};
  const auto pick = [&] {
    Sampler sampler(p, 3);
    return sampler.sample({{}, logits}, history, 0);
  };
  p.repeat_last_n = 1, p.presence_penalty = 0.5f;
  EXPECT_EQ(pick(), 1) << "only token 0 is in the window";
  p.repeat_last_n = -1;
  EXPECT_EQ(pick(), 0) << "both are";
  p.presence_penalty = 0, p.frequency_penalty = 2;
  EXPECT_EQ(pick(), 2) << "each twice";
  p.frequency_penalty = 0, p.repeat_penalty = 1.5f, p.repeat_last_n = 1;
  EXPECT_EQ(pick(), 1);
  p.repeat_last_n = 0;
  EXPECT_EQ(pick(), 0) << "no window, no penalty";
}

TEST(Sampler, BiasAddsAndBans) {
  SamplingParams p = everything();
  p.logit_bias = {{0, -INFINITY}, {4, 100.0f}};
  expect_near(frequencies(p, logits_of_halves), {0, 0, 0, 0, 1});
}

TEST(Sampler, DependsOnSeedSequenceAndPositionOnly) {
  SamplingParams p = everything();
  p.seed = 7;
  std::vector<float> logits(1000);
  std::mt19937 random(3);
  for (float& l : logits) l = static_cast<float>(random() % 1000) * 0.01f;
  Sampler a(p, 1000), b(p, 1000), other_sequence(p, 1000, 1);
  int differ = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    const TokenId id = a.sample({{}, logits}, {}, i);
    differ += id != other_sequence.sample({{}, logits}, {}, i);
    EXPECT_EQ(b.sample({{}, logits}, {}, 99 - i), a.sample({{}, logits}, {}, 99 - i));
  }
  EXPECT_GT(differ, 50);
}

TEST(Sampler, StepsThatSortLazilyEqualAFullSort) {
  SamplingParams p = everything();
  p.top_p = 0.9f;
  SamplingParams all = p;
  all.top_k = 5000;  // sorts everything first
  std::vector<float> logits(5001);
  std::mt19937 random(11);
  for (float& l : logits) l = static_cast<float>(random() % 4096) * 0x1p-9f;
  logits[5000] = -INFINITY;
  Sampler lazy(p, 5001), full(all, 5001);
  for (std::uint64_t i = 0; i < 200; ++i) ASSERT_EQ(lazy.sample({{}, logits}, {}, i), full.sample({{}, logits}, {}, i));
}

TEST(Sampler, RefusesBrokenLogits) {
  Sampler sampler(everything(), 3);
  EXPECT_THAT([&] { sampler.sample({{}, std::vector<float>{1, NAN, 2}}, {}, 0); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("logit of token 1 is nan")));
  EXPECT_THROW(sampler.sample({{}, std::vector<float>{1, INFINITY, 2}}, {}, 0), Error);
  EXPECT_THROW(sampler.sample({{}, std::vector<float>{-INFINITY, -INFINITY, -INFINITY}}, {}, 0), Error);
}

// The history ends with 1 2 3, which stood there before, followed by 4; "9" breaks.
TEST(Sampler, DryTakesFromWhatWouldProlongARepeat) {
  SamplingParams p = everything();
  p.temperature = 0, p.dry_multiplier = 1, p.dry_base = 2, p.dry_allowed_length = 2;
  std::vector<float> logits(10, 0.0f);
  logits[4] = 1.9f, logits[5] = 0.0f, logits[6] = -0.05f;
  const auto pick = [&](const std::vector<TokenId>& history) {
    return Sampler(p, 10, 0, {9}).sample({{}, logits}, history, 0);
  };
  EXPECT_EQ(pick({1, 2, 3, 4, 7, 1, 2, 3}), 0) << "a repeat of 3 costs 2^1";
  EXPECT_EQ(pick({8, 2, 3, 4, 7, 1, 2, 3}), 4) << "one of 2 costs 2^0";
  EXPECT_EQ(pick({1, 2, 3, 4, 7, 9, 2, 3}), 4) << "a repeat does not reach over a breaker";
  EXPECT_EQ(pick({1, 9, 3, 4, 7, 1, 9, 3}), 4) << "nor starts before one";
  p.dry_penalty_last_n = 4;
  EXPECT_EQ(pick({1, 2, 3, 4, 7, 1, 2, 3}), 4) << "the earlier one lies outside the window";
  p.dry_penalty_last_n = -1, p.dry_allowed_length = 4;
  EXPECT_EQ(pick({1, 2, 3, 4, 7, 1, 2, 3}), 4) << "3 are allowed";
  EXPECT_EQ(pick(std::vector<TokenId>(500, 4)), 0) << "a finite cost however long the repeat";
}

// Against the definition: of every earlier place, how many tokens before it equal the last ones.
TEST(Sampler, DryFindsTheRepeatsThatComparingFindsAndAsksForThem) {
  const std::uint32_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  SamplingParams p = everything();
  p.dry_multiplier = 0.7f, p.top_k = 1, p.temperature = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<TokenId> history(random() % 60);
    for (TokenId& id : history) id = static_cast<TokenId>(random() % 3);
    std::vector<float> logits(4);
    for (float& l : logits) l = static_cast<float>(random() % 1000) * 0.005f;
    std::vector<float> expected = logits;
    for (TokenId id = 0; id < 4; ++id) {
      std::size_t longest = 0;
      for (std::size_t at = 1; at < history.size(); ++at) {
        if (history[at] != id) continue;
        std::size_t length = 0;
        while (length < at && history[at - 1 - length] == history[history.size() - 1 - length]) ++length;
        longest = std::max(longest, length);
      }
      if (longest >= 2) expected[static_cast<std::size_t>(id)] -= 0.7f * std::pow(1.75f, static_cast<float>(longest - 2));
    }
    Sampler sampler(p, 4);
    const auto best = std::max_element(expected.begin(), expected.end()) - expected.begin();
    EXPECT_EQ(sampler.sample({{}, logits}, history, 0), best);
    const LogitQuery query = sampler.query(history);
    EXPECT_GE(query.count, 1 + static_cast<std::int64_t>(query.also.size()));
    for (std::size_t id = 0; id < 4; ++id) {
      if (expected[id] == logits[id]) continue;
      EXPECT_THAT(query.also, testing::Contains(static_cast<TokenId>(id)));
    }
  }
}

TEST(Sampler, TopNSigmaComparesWithTheSpreadOfAllLogits) {
  SamplingParams p = everything();
  p.top_n_sigma = 1;
  const std::vector<float> logits = {3, 2.5f, 1, 0, 0, 0, -1, -1.5f};  // mean 0.5, standard deviation 1.5
  const auto f = frequencies(p, logits);
  EXPECT_GT(f[1], 0);
  for (std::size_t i = 2; i < f.size(); ++i) EXPECT_EQ(f[i], 0) << i;
  EXPECT_EQ(Sampler(p, 8).query({}).count, 0);
}

TEST(Sampler, XtcLeavesOutAllButTheLeastLikelyOfTheLikely) {
  SamplingParams p = everything();
  p.xtc_threshold = 0.2f, p.xtc_probability = 1;
  expect_near(frequencies(p, logits_of_halves), {0, 0.5, 0.25, 0.125, 0.125});
  p.xtc_probability = 0.5f;
  expect_near(frequencies(p, logits_of_halves), {0.25, 0.375, 0.1875, 0.09375, 0.09375});
  p.xtc_threshold = 0.4f, p.xtc_probability = 1;  // one is likely: it stays
  expect_near(frequencies(p, logits_of_halves), {0.5, 0.25, 0.125, 0.0625, 0.0625});
}

TEST(Sampler, DynamicTemperatureFollowsTheEntropy) {
  SamplingParams p = everything();
  p.temperature = 1, p.dynatemp_range = 0.5f;
  const std::vector<float> even(8, 1.0f), sharp = {std::log(0.98f), std::log(0.01f), std::log(0.01f)};
  expect_near(frequencies(p, even), std::vector<double>(8, 0.125));
  // Entropy 0.1119 of ln 3 = 0.1018: the temperature is 0.5 + 0.1018.
  const double rest = std::pow(0.01 / 0.98, 1 / 0.6018), total = 1 + 2 * rest;
  expect_near(frequencies(p, sharp), {1 / total, rest / total, rest / total});
  p.dynatemp_range = 100, p.dynatemp_exponent = 10;
  expect_near(frequencies(p, sharp), {1, 0, 0});
}

TEST(Sampler, MirostatHoldsTheSurprise) {
  std::vector<float> logits(2000);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = -1.1f * std::log(static_cast<float>(i + 1));  // Zipf
  double total = 0;
  for (const float l : logits) total += std::exp(static_cast<double>(l));
  for (const int version : {1, 2}) {
    for (const float tau : {2.0f, 5.0f}) {
      SamplingParams p = everything();
      p.mirostat = version, p.mirostat_tau = tau, p.seed = 5;
      Sampler sampler(p, 2000), again(p, 2000);
      double surprise = 0;
      std::vector<TokenId> drawn;
      for (std::uint64_t i = 0; i < 3000; ++i) {
        drawn.push_back(sampler.sample({{}, logits}, {}, i));
        surprise -= std::log2(std::exp(static_cast<double>(logits[static_cast<std::size_t>(drawn.back())])) / total) / 3000;
      }
      // It is held among the tokens that are left in; those take a part of the whole probability only.
      EXPECT_GT(surprise, static_cast<double>(tau) - 0.2) << version << " " << tau;
      EXPECT_LT(surprise, static_cast<double>(tau) + 2.5) << version << " " << tau;
      for (std::uint64_t i = 0; i < 3000; ++i) ASSERT_EQ(again.sample({{}, logits}, {}, i), drawn[i]);
    }
  }
}

TEST(SamplingParams, NamesTheFieldOutOfBounds) {
  SamplingParams p;
  p.top_p = 0;
  EXPECT_THAT([&] { check(p, 10); }, testing::ThrowsMessage<Error>("top_p is 0, allowed is (0, 1]"));
  p = {};
  p.temperature = NAN;
  EXPECT_THAT([&] { check(p, 10); }, testing::ThrowsMessage<Error>(testing::HasSubstr("temperature is nan")));
  p = {};
  p.logit_bias = {{10, 0.0f}};
  EXPECT_THAT([&] { check(p, 10); }, testing::ThrowsMessage<Error>(testing::HasSubstr("token 10, allowed are 0 to 9")));
}

}  // namespace
}  // namespace bitnet
