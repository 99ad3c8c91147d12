// DraftPolicy: with costs and texts that are made up, does it draft as much as pays, and not at all where nothing does?
#include "inference/draft_policy.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

namespace bitnet {
namespace {

constexpr TokenId right = 1, wrong = 0;

// A text of `right` tokens, drafts of which are right with some probability each, and a clock.
struct World {
  std::function<double(std::size_t drafts)> cost;  // of a step in seconds, but for noise
  double probability;                              // that a draft is right where all before it were
  std::size_t matched = 4, length = 7;
  double noise = 0.1;  // seldom and upwards, as of a machine that does other things too
};

struct Outcome {
  double seconds = 0;
  std::int64_t tokens = 0, drafted = 0, last_drafts = 0;
  double rate() const { return static_cast<double>(tokens) / seconds; }
};

Outcome run(DraftPolicy& policy, const World& world, std::mt19937& random, int steps) {
  std::uniform_real_distribution<> uniform;
  Outcome outcome;
  for (int i = 0; i < steps; ++i) {
    Draft draft{{}, world.matched};
    for (std::size_t k = 0; k < world.length; ++k) draft.ids.push_back(uniform(random) < world.probability ? right : wrong);
    const std::size_t drafts = policy.choose(draft);
    double seconds = world.cost(drafts);
    if (uniform(random) < 0.2) seconds *= 1 + world.noise * uniform(random) * 5;
    policy.took(drafts, seconds);
    std::size_t accepted = 0;
    while (accepted < drafts && draft.ids[accepted] == right) ++accepted;
    for (std::size_t k = 0; k <= accepted; ++k) policy.saw(right);
    outcome.seconds += seconds, outcome.tokens += static_cast<std::int64_t>(accepted) + 1;
    outcome.drafted += static_cast<std::int64_t>(drafts), outcome.last_drafts = static_cast<std::int64_t>(drafts);
  }
  return outcome;
}

// Tokens a second of always the same number of drafts, without noise: the best of all numbers.
double best_rate(const World& world) {
  double best = 0;
  for (std::size_t drafts = 0; drafts <= most_measured_drafts; ++drafts) {
    double tokens = 1, all = 1;
    for (std::size_t k = 0; k < drafts; ++k) tokens += all *= world.probability;
    best = std::max(best, tokens / world.cost(drafts));
  }
  return best;
}

std::function<double(std::size_t)> line(double slope, double seconds = 0.04) {
  return [=](std::size_t drafts) { return seconds * (1 + slope * static_cast<double>(drafts)); };
}

TEST(DraftPolicy, DoesNotDraftBeforeItKnowsWhatAStepCosts) {
  StepCosts costs;
  DraftPolicy policy(costs);
  const Draft draft{{1, 1, 1, 1}, 16};
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(policy.choose(draft), 0u);
    policy.took(0, 0.04);
  }
  EXPECT_GT(policy.choose(draft), 0u);
  EXPECT_EQ(policy.choose({}), 0u);
}

TEST(DraftPolicy, ComesNearTheBestFixedNumberOfDrafts) {
  std::mt19937 random(1);
  for (const double slope : {0.02, 0.1, 0.2, 0.4, 0.8}) {
    for (const double probability : {0.05, 0.3, 0.6, 0.8, 0.95, 1.0}) {
      const World world{line(slope), probability};
      StepCosts costs;
      DraftPolicy policy(costs);
      run(policy, world, random, 200);
      // Noise makes a step a twentieth longer on average, and may spoil the measurement of one number of drafts for a while.
      EXPECT_GT(run(policy, world, random, 2000).rate(), 0.82 * best_rate(world)) << "slope " << slope << ", " << probability;
    }
  }
}

TEST(DraftPolicy, LosesNothingWhereDraftsNeverComeTrue) {
  std::mt19937 random(2);
  for (const std::size_t matched : {0u, 2u, 3u, 4u, 8u, 16u}) {
    const World world{line(0.15), 0.0, matched, 7, 0};
    StepCosts costs;
    DraftPolicy policy(costs);
    const Outcome outcome = run(policy, world, random, 3000);
    EXPECT_LT(outcome.seconds, 3000 * 0.04 * 1.005) << "agreement of " << matched;
    EXPECT_EQ(outcome.last_drafts, 0);
  }
}

TEST(DraftPolicy, LosesLittleWhereBatchesCostTooMuch) {
  std::mt19937 random(3);
  const World world{line(1.2), 1.0, 4, 7, 0};
  StepCosts costs;
  DraftPolicy policy(costs);
  run(policy, world, random, 100);
  EXPECT_GT(run(policy, world, random, 5000).rate(), 0.99 / 0.04);
}

TEST(DraftPolicy, DoesNotBelieveOneBadStep) {
  std::mt19937 random(6);
  StepCosts costs;
  for (int i = 0; i < 3; ++i) costs.record(0, 0.04);
  costs.record(7, 0.4);
  DraftPolicy policy(costs);
  run(policy, {line(0.1), 0.95}, random, 20);
  EXPECT_GT(run(policy, {line(0.1), 0.95}, random, 20).drafted, 100);
}

TEST(DraftPolicy, FollowsCostsThatChange) {
  std::mt19937 random(4);
  StepCosts costs;
  DraftPolicy policy(costs);
  const World dear{line(1.5), 0.9}, cheap{line(0.1), 0.9}, slow{line(0.1, 0.4), 0.9};
  run(policy, dear, random, 1000);
  EXPECT_LT(run(policy, dear, random, 500).drafted, 60);
  run(policy, cheap, random, 2500);
  EXPECT_GT(run(policy, cheap, random, 500).rate(), 0.85 * best_rate(cheap));
  run(policy, slow, random, 500);
  EXPECT_GT(run(policy, slow, random, 500).rate(), 0.85 * best_rate(slow)) << "everything takes ten times as long";
}

TEST(DraftPolicy, TellsKindsOfDraftsApart) {
  std::mt19937 random(5);
  StepCosts costs;
  DraftPolicy policy(costs);
  const World rare{line(0.2), 0.02, 2}, sure{line(0.2), 0.95, 16};
  for (int i = 0; i < 50; ++i) run(policy, rare, random, 20), run(policy, sure, random, 20);
  EXPECT_LT(run(policy, rare, random, 300).drafted, 30);
  EXPECT_GT(run(policy, sure, random, 300).drafted, 1300);
}

TEST(StepCosts, DrawsAStraightLineBetweenWhatWasMeasured) {
  StepCosts costs;
  EXPECT_FALSE(costs.known());
  for (const double seconds : {1.0, 9.0, 1.0, 1.0}) costs.record(0, seconds);
  EXPECT_TRUE(costs.known());
  costs.record(2, 1.5), costs.record(6, 2.5);
  EXPECT_DOUBLE_EQ(costs.ratio(1), 1.25);
  EXPECT_DOUBLE_EQ(costs.ratio(2), 1.5);
  EXPECT_DOUBLE_EQ(costs.ratio(4), 2.0);
  EXPECT_DOUBLE_EQ(costs.ratio(6), 2.5);
  EXPECT_DOUBLE_EQ(costs.ratio(7), 2.75);
}

}  // namespace
}  // namespace bitnet
