// Constraints: generated text stays within its grammar with every sampler, and is the same alone, in company, and by hand.
#include "inference/constraint.h"

#include <gmock/gmock.h>

#include <fstream>
#include <random>

#include "inference/engine.h"
#include "inference/scheduler.h"
#include "support/grammar_samples.h"

namespace bitnet {
namespace {

constexpr TokenId end_id = 256, begin_id = 257;

std::vector<test::GrammarPtr> grammars() {
  return {
      grammar_from_regex("(?:yes|no|[a-f]{3,12}), \\d{2,4}!"), grammar_from_gbnf("root ::= \"(\" root \")\" | [a-z]\n"),
      grammar_from_choices(std::vector<std::string>{"red", "green", "Grün", "blue"}),
      grammar_from_json_schema(
          R"({"type":"object","properties":{"n":{"type":"integer","minimum":-5,"maximum":500},"s":{"type":"string","maxLength":6},
            "l":{"type":"array","items":{"enum":["a","b",null]},"maxItems":3}},"required":["n","l"]})")};
}

std::vector<SamplingParams> samplings() {
  std::vector<SamplingParams> all(12);
  all[0].temperature = 0;
  all[1].top_k = 0, all[1].top_p = 1, all[1].min_p = 0;
  all[2].mirostat = 1;
  all[3].mirostat = 2, all[3].mirostat_tau = 2;
  all[4].top_n_sigma = 1;
  all[5].typical_p = 0.5f;
  all[6].xtc_probability = 1, all[6].xtc_threshold = 0.05f;
  all[7].dry_multiplier = 2, all[7].dry_allowed_length = 1;
  all[8].repeat_penalty = 1.5f, all[8].presence_penalty = 1, all[8].frequency_penalty = 1;
  all[9].dynatemp_range = 0.5f;
  all[10].top_k = 0, all[10].min_p = 0.3f, all[10].top_p = 1;
  all[11].logit_bias = {{'x', 50.0f}, {'!', 50.0f}, {begin_id, 1000.0f}};
  for (std::size_t i = 0; i < all.size(); ++i) all[i].seed = i;
  return all;
}

class ConstraintTest : public testing::Test {
 protected:
  std::unique_ptr<Engine> open(EngineOptions options = {}, test::RandomModel model = {}) {
    file_ = std::make_unique<test::TempFile>(model.bytes());
    if (options.threads == 0) options.threads = 1;
    return Engine::open(file_->path(), options);
  }
  static GenerateRequest request(test::GrammarPtr grammar, const SamplingParams& sampling, std::int64_t most = 60) {
    GenerateRequest request;
    request.prompt = {begin_id, 72, 105}, request.max_tokens = most, request.sampling = sampling;
    request.constraint = std::move(grammar);
    return request;
  }
  std::unique_ptr<test::TempFile> file_;
};

void expect_within(const test::GrammarPtr& grammar, const GenerateResult& result) {
  if (result.finish_reason == FinishReason::stop) {
    EXPECT_TRUE(test::matches(grammar, result.text)) << result.text;
  } else {
    EXPECT_EQ(result.finish_reason, FinishReason::length);
    EXPECT_TRUE(test::begins(grammar, result.text)) << result.text;
  }
}

TEST_F(ConstraintTest, EverySamplerStaysWithinEveryGrammar) {
  const auto engine = open();
  Session session = engine->new_session();
  int finished = 0;
  for (const test::GrammarPtr& grammar : grammars()) {
    for (const SamplingParams& sampling : samplings()) {
      const GenerateResult result = engine->generate(session, request(grammar, sampling));
      expect_within(grammar, result);
      finished += result.finish_reason == FinishReason::stop;
    }
  }
  EXPECT_GE(finished, 36);
}

// By hand: all logits, those that an own matcher allows, the sampler.
TEST_F(ConstraintTest, DrawsAreTheSamplersOverWhatIsAllowed) {
  for (const std::uint32_t n_vocab : {258u, 6000u}) {
    test::RandomModel model;
    model.n_vocab = n_vocab;
    const auto engine = open({}, model);
    for (const test::GrammarPtr& grammar : grammars()) {
      for (const SamplingParams& sampling : samplings()) {
        Session session = engine->new_session(), own = engine->new_session();
        const GenerateResult result = engine->generate(session, request(grammar, sampling, 20));
        std::vector<TokenId> history = {begin_id, 72, 105};
        std::vector<TokenId> breakers;
        for (const char c : {'\n', '"', '*', ':'}) breakers.push_back(c);
        Sampler sampler(sampling, engine->config().n_vocab, 0, breakers);
        GrammarMatcher matcher(grammar);
        std::span<const TokenId> pending = history;
        for (std::size_t i = 0; i < result.ids.size(); ++i) {
          const LogitSet logits = engine->evaluate(own, pending);
          std::vector<TokenId> ids;
          std::vector<float> values;
          for (TokenId id = 0; id <= end_id; ++id) {
            const bool allowed =
                id == end_id ? matcher.can_end() : GrammarMatcher(matcher).accept(std::string(1, static_cast<char>(id)));
            if (allowed) ids.push_back(id), values.push_back(logits.values[static_cast<std::size_t>(id)]);
          }
          const TokenId id = sampler.sample({ids, values}, history, i);
          ASSERT_EQ(result.ids[i], id) << "token " << i << " seed " << sampling.seed << " vocabulary " << n_vocab;
          if (id != end_id) matcher.accept(std::string(1, static_cast<char>(id)));
          history.push_back(id);
          pending = std::span<const TokenId>(history).last(1);
        }
      }
    }
  }
}

TEST_F(ConstraintTest, EndsWhereTheGrammarEnds) {
  const auto engine = open();
  Session session = engine->new_session();
  SamplingParams sampling;
  sampling.logit_bias = {{end_id, 1000.0f}};
  GenerateResult result = engine->generate(session, request(grammar_from_regex("a{3}b*"), sampling));
  EXPECT_EQ(result.ids, (std::vector<TokenId>{'a', 'a', 'a', end_id})) << "the end token as soon as it may come";
  EXPECT_EQ(result.finish_reason, FinishReason::stop);
  result = engine->generate(session, request(grammar_from_regex("a{3}"), sampling));
  EXPECT_EQ(result.ids, (std::vector<TokenId>{'a', 'a', 'a'})) << "nothing can follow, so none is needed";
  EXPECT_EQ(result.finish_reason, FinishReason::stop);
  GenerateRequest endless = request(grammar_from_regex("a*"), sampling, 10);
  endless.ignore_eos = true;
  EXPECT_EQ(engine->generate(session, endless).text, "aaaaaaaaaa");
  result = engine->generate(session, request(grammar_from_regex("a*"), sampling));
  EXPECT_EQ(result.ids, (std::vector<TokenId>{end_id}));
  endless.constraint = grammar_from_regex("");
  result = engine->generate(session, endless);
  EXPECT_TRUE(result.ids.empty() && result.finish_reason == FinishReason::stop);
}

TEST_F(ConstraintTest, AlongWithStopStringsAndBannedTokens) {
  const auto engine = open();
  Session session = engine->new_session();
  SamplingParams sampling;
  GenerateRequest stopped = request(grammar_from_regex("abc[def]{5}"), sampling);
  stopped.stop = {"bc"};
  EXPECT_EQ(engine->generate(session, stopped).text, "a");
  sampling.logit_bias = {{'a', -INFINITY}};
  try {
    engine->generate(session, request(grammar_from_regex("abc"), sampling));
    FAIL() << "the only token that is allowed is banned";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("no token is left"));
  }
}

TEST_F(ConstraintTest, NeedsATokenizer) {
  test::RandomModel model;
  model.tokenizer = false;
  const auto engine = open({}, model);
  Session session = engine->new_session();
  EXPECT_THAT([&] { engine->generate(session, request(grammar_from_regex("a"), {})); }, testing::Throws<Error>());
}

TEST_F(ConstraintTest, AtAnyThreadsChunksAndCompanyTheSame) {
  std::vector<SequenceRequest> requests;
  const auto all = grammars();
  const auto sampled = samplings();
  std::mt19937 random(5);
  for (std::size_t i = 0; i < 24; ++i) {
    SequenceRequest one;
    one.generate = request(i % 4 == 3 ? nullptr : all[i % all.size()], sampled[i % sampled.size()], 30);
    for (std::size_t more = random() % 80; more > 0; --more)
      one.generate.prompt.push_back(static_cast<TokenId>(random() % 256));
    requests.push_back(one);
  }
  std::vector<GenerateResult> alone;
  {
    const auto engine = open();
    for (const SequenceRequest& one : requests) {
      Session session = engine->new_session();
      alone.push_back(engine->generate(session, one.generate));
    }
  }
  for (const int threads : {1, 2, 3}) {
    for (const std::int64_t chunk : {16, 512}) {
      EngineOptions options;
      options.threads = threads, options.chunk = chunk;
      const auto engine = open(options);
      SchedulerOptions how;
      how.most_running = 6, how.prefix_cache = chunk == 512;
      Scheduler scheduler(*engine, how);
      std::vector<std::optional<GenerateResult>> together(requests.size());
      for (std::size_t i = 0; i < requests.size(); ++i) {
        scheduler.submit(requests[i], {{}, [&together, i](const GenerateResult& result, const Error* error) {
                                         ASSERT_EQ(error, nullptr);
                                         together[i] = result;
                                       }});
      }
      while (scheduler.step()) {
      }
      for (std::size_t i = 0; i < requests.size(); ++i) {
        ASSERT_TRUE(together[i].has_value());
        EXPECT_EQ(together[i]->ids, alone[i].ids) << "request " << i << ", " << threads << " threads, chunk " << chunk;
        EXPECT_EQ(together[i]->text, alone[i].text);
        EXPECT_EQ(together[i]->finish_reason, alone[i].finish_reason);
      }
    }
  }
}

TEST_F(ConstraintTest, ManyGrammarsOnOneEngineLeaveMemoryFlat) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer keeps freed memory";
#endif
  const auto resident = [] {
    std::ifstream file("/proc/self/statm");
    std::size_t total = 0, pages = 0;
    file >> total >> pages;
    return pages * 4096;
  };
  const auto engine = open();
  const auto draw = [&](int i) {
    GenerateRequest one =
        request(grammar_from_json_schema(
                    fmt::format(R"({{"type":"object","properties":{{"p{}":{{"const":{}}}}},"required":["p{}"]}})", i, i, i)),
                {});
    Generation generation = engine->generation(one);
    ASSERT_FALSE(generation.finished());
  };
  for (int i = 0; i < 300; ++i) draw(i);
  const std::size_t before = resident();
  if (before == 0) GTEST_SKIP() << "no /proc/self/statm here";
  for (int i = 300; i < 3000; ++i) draw(i);
  EXPECT_LT(resident(), before + (8u << 20));
}

}  // namespace
}  // namespace bitnet
