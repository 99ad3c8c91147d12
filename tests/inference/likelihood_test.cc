// Log-likelihoods: against the softmax of Engine::logits, in every way of batching, and against PyTorch's for the default
// model.
#include "inference/likelihood.h"

#include <gmock/gmock.h>

#include <cmath>
#include <fstream>

#include "common/error.h"
#include "support/random_model.h"

namespace bitnet {
namespace {

std::vector<TokenId> some_ids(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<TokenId> ids(n);
  for (TokenId& id : ids) id = static_cast<TokenId>(random() % 256);
  return ids;
}

std::vector<TokenId> joined(const Choice& choice) {
  std::vector<TokenId> ids = choice.context;
  ids.insert(ids.end(), choice.continuation.begin(), choice.continuation.end());
  return ids;
}

class LikelihoodTest : public testing::Test {
 protected:
  std::unique_ptr<Engine> open(const test::RandomModel& model = {}, EngineOptions options = {}) {
    files_.push_back(std::make_unique<test::TempFile>(model.bytes()));
    if (options.threads == 0) options.threads = 2;
    options.kv = KvType::f32;
    return Engine::open(files_.back()->path(), options);
  }

  std::vector<std::unique_ptr<test::TempFile>> files_;
};

void expect_equal(const std::vector<TokenLikelihood>& a, const std::vector<TokenLikelihood>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].log_probability, b[i].log_probability) << i;
    EXPECT_EQ(a[i].is_top, b[i].is_top) << i;
  }
}

TEST_F(LikelihoodTest, IsTheLogSoftmaxOfTheLogits) {
  const auto engine = open();
  const std::vector<TokenId> ids = some_ids(70, 1);
  std::vector<double> expected;
  std::vector<TokenId> top;
  engine->logits(ids, 0, [&](std::int64_t position, std::span<const float> logits) {
    if (position + 1 == static_cast<std::int64_t>(ids.size())) return;
    long double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<long double>(logit));
    const float logit = logits[static_cast<std::size_t>(ids[static_cast<std::size_t>(position) + 1])];
    expected.push_back(static_cast<double>(logit - std::log(sum)));
    top.push_back(static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
  });
  const auto found = LikelihoodScorer(*engine).score(std::vector{ScoredSequence{ids, 1}}).front();
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i].log_probability, expected[i], 1e-12) << i;
    EXPECT_EQ(found[i].is_top, top[i] == ids[i + 1]) << i;
  }
}

TEST_F(LikelihoodTest, DoesNotDependOnHowItIsComputed) {
  const std::vector<ScoredSequence> sequences = {
      {some_ids(90, 2), 1}, {some_ids(5, 3), 5}, {some_ids(33, 4), 17}, {some_ids(2, 5), 1}};
  const auto first = open();
  const auto expected = LikelihoodScorer(*first).score(sequences);
  ASSERT_EQ(expected.size(), 4u);
  EXPECT_EQ(expected[0].size(), 89u);
  EXPECT_TRUE(expected[1].empty());
  EXPECT_EQ(expected[2].size(), 16u);
  for (const EngineOptions& options :
       {EngineOptions{.threads = 1}, {.threads = 3, .chunk = 7}, {.isa = "scalar", .chunk = 1}}) {
    const auto engine = open({}, options);
    LikelihoodScorer scorer(*engine);
    for (int repeat = 0; repeat < 2; ++repeat) {
      const auto found = scorer.score(sequences);
      for (std::size_t i = 0; i < sequences.size(); ++i) expect_equal(found[i], expected[i]);
    }
    for (std::size_t i = 0; i < sequences.size(); ++i)
      expect_equal(scorer.score(std::span(sequences).subspan(i, 1))[0], expected[i]);
  }
}

TEST_F(LikelihoodTest, ChoicesAreScoredAsTheirWholeTexts) {
  const std::vector<TokenId> context = some_ids(40, 6), other = some_ids(20, 7);
  const std::vector<std::vector<Choice>> items = {
      {{context, {1}}, {context, {2}}},  // one token each: the context's last row tells both
      {{context, some_ids(9, 8)}, {context, some_ids(70, 9)}, {context, {5}}},  // the same context again
      {{context, {7, 8, 9}}, {context, {7, 8, 4}}},                             // answers that begin alike
      {{context, {7, 8, 9}}, {context, {7, 8, 9}}},
      {{other, {3, 4}}, {context, {3, 4}}},  // contexts that differ, as in winogrande
      {Choice{{1}, {2, 3}}, Choice{{1}, {4}}},
      {Choice{{200}, {2}}},
  };
  for (const std::int64_t chunk : {512, 16, 3}) {
    const auto engine = open({}, {.chunk = chunk});
    LikelihoodScorer scorer(*engine), fresh(*engine);
    for (std::size_t item = 0; item < items.size(); ++item) {
      const auto found = scorer.score_choices(items[item]);
      ASSERT_EQ(found.size(), items[item].size());
      ASSERT_FALSE(items[item][0].continuation.empty());
      for (std::size_t i = 0; i < found.size(); ++i) {
        const Choice& choice = items[item][i];
        double sum = 0;
        bool top = true;
        const ScoredSequence whole{joined(choice), static_cast<std::int64_t>(choice.context.size())};
        const auto tokens = fresh.score(std::span(&whole, 1));
        for (const TokenLikelihood& token : tokens.front()) sum += token.log_probability, top = top && token.is_top;
        EXPECT_EQ(found[i].log_probability, sum) << "item " << item << ", choice " << i << ", chunk " << chunk;
        EXPECT_EQ(found[i].is_top, top);
        EXPECT_EQ(found[i].dropped, 0);
      }
    }
  }
}

TEST_F(LikelihoodTest, LongContextsLoseTheirStart) {
  const auto engine = open({}, {.n_ctx = 32});
  LikelihoodScorer scorer(*engine);
  const Choice long_one{some_ids(40, 10), {1, 2, 3}}, short_one{{5}, {6}};
  const Choice cut{{long_one.context.end() - 30, long_one.context.end()}, long_one.continuation};
  const auto found = scorer.score_choices(std::vector{long_one, short_one});
  EXPECT_EQ(found[0].dropped, 10);
  EXPECT_EQ(found[1].dropped, 0);
  EXPECT_EQ(found[0].log_probability, scorer.score_choices(std::vector{cut})[0].log_probability);
  EXPECT_THAT([&] { scorer.score_choices(std::vector{Choice{{1}, some_ids(33, 1)}}); },
              testing::ThrowsMessage<Error>("an answer has 33 tokens, the context holds 32"));
}

TEST_F(LikelihoodTest, ComparesTwoModelsRowByRow) {
  const auto p = open(), q = open({.seed = 2}, {.chunk = 10});
  const ScoredSequence sequence{some_ids(60, 11), 20};
  std::vector<std::vector<float>> rows[2];
  for (Engine* engine : {p.get(), q.get()}) {
    engine->logits(sequence.ids, 0, [&](std::int64_t, std::span<const float> row) {
      rows[engine == q.get()].emplace_back(row.begin(), row.end());
    });
  }
  const auto found = compare(*p, *q, sequence);
  ASSERT_EQ(found.size(), 40u);
  const auto own = LikelihoodScorer(*p).score(std::span(&sequence, 1)).front();
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::vector<float>&a = rows[0][19 + i], &b = rows[1][19 + i];
    long double a_sum = 0, b_sum = 0, divergence = 0;
    for (std::size_t t = 0; t < a.size(); ++t)
      a_sum += std::exp(static_cast<long double>(a[t])), b_sum += std::exp(static_cast<long double>(b[t]));
    for (std::size_t t = 0; t < a.size(); ++t)
      divergence += std::exp(static_cast<long double>(a[t])) / a_sum * (a[t] - std::log(a_sum) - b[t] + std::log(b_sum));
    EXPECT_NEAR(found[i].divergence, static_cast<double>(divergence), 1e-12) << i;
    EXPECT_EQ(found[i].p_log_probability, own[i].log_probability);
    EXPECT_EQ(found[i].same_top,
              std::max_element(a.begin(), a.end()) - a.begin() == std::max_element(b.begin(), b.end()) - b.begin());
  }
  for (const TokenComparison& token : compare(*p, *open({}, {.threads = 1, .chunk = 7}), sequence)) {
    EXPECT_EQ(token.divergence, 0.0);
    EXPECT_TRUE(token.same_top);
  }
}

TEST_F(LikelihoodTest, StopsBetweenPasses) {
  const auto engine = open({}, {.chunk = 8});
  int passes = 0;
  LikelihoodScorer scorer(*engine, [&] {
    if (++passes == 3) fail(ErrorKind::cancelled, "interrupted");
  });
  const std::vector<ScoredSequence> sequences = {{some_ids(64, 12), 1}};
  EXPECT_THROW(scorer.score(sequences), Error);
  EXPECT_EQ(passes, 3);
  EXPECT_EQ(scorer.score(sequences)[0].size(), 63u) << "the scorer is whole afterwards";
}

TEST(DefaultModel, HasPyTorchsPerplexity) {
  const std::string root = BITNET_SOURCE_DIR;
  std::ifstream file(root + "/tests/golden/default_model.json");
  const auto recorded = nlohmann::json::parse(file);
  const auto engine = Engine::open(root + "/models/default.gguf", {.threads = 2, .kv = KvType::f32});
  std::vector<ScoredSequence> windows;
  for (const auto& window : recorded["windows"]) windows.push_back({window.get<std::vector<TokenId>>(), 1});
  double sum = 0;
  std::size_t count = 0;
  for (const auto& tokens : LikelihoodScorer(*engine).score(windows)) {
    for (const TokenLikelihood& token : tokens) sum -= token.log_probability, ++count;
  }
  const double perplexity = std::exp(sum / static_cast<double>(count)), expected = std::exp(recorded["loss"].get<double>());
  EXPECT_NEAR(perplexity / expected, 1.0, 0.005) << perplexity << " and " << expected;
}

}  // namespace
}  // namespace bitnet
