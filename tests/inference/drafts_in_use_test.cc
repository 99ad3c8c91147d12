// Drafts under a constraint, with scores and in the scheduler: the same tokens and scores, in fewer batches.
#include <gmock/gmock.h>

#include <random>

#include "common/error.h"
#include "inference/grammar/grammar.h"
#include "inference/scheduler.h"
#include "support/grammar_samples.h"
#include "support/random_model.h"

namespace bitnet {
namespace {

// What is known to follow, with mistakes in between.
DraftSource oracle(std::vector<TokenId> text, double wrong, std::uint32_t seed) {
  return
      [text = std::move(text), wrong, random = std::mt19937(seed)](std::span<const TokenId> history, std::size_t most) mutable {
        Draft draft;
        for (std::size_t i = history.size(); i < text.size() && draft.ids.size() < most; ++i) {
          const bool lie = std::uniform_real_distribution<>()(random) < wrong;
          draft.ids.push_back(lie ? static_cast<TokenId>(random() % 258) : text[i]);
        }
        return draft;
      };
}

std::vector<double> values_of(const std::vector<TokenScore>& scores) {
  std::vector<double> values;
  for (const TokenScore& score : scores) {
    values.push_back(score.log_probability);
    for (const auto& [id, log_probability] : score.top) values.push_back(log_probability);
  }
  return values;
}

class DraftsInUse : public testing::Test {
 protected:
  std::unique_ptr<Engine> open(int threads = 1) { return Engine::open(file_.path(), {.threads = threads, .chunk = 32}); }

  static GenerateRequest request(std::uint64_t seed, std::int64_t tokens = 60) {
    GenerateRequest request;
    request.prompt = {257, 72, 105, 72, 105, 72};
    request.max_tokens = tokens, request.drafts = 0;
    request.sampling.seed = seed, request.sampling.temperature = seed % 3 == 0 ? 0.0f : 1.2f;
    return request;
  }
  static std::vector<TokenId> whole(const GenerateRequest& request, const GenerateResult& result) {
    std::vector<TokenId> text = request.prompt;
    text.insert(text.end(), result.ids.begin(), result.ids.end());
    return text;
  }

  test::TempFile file_{test::RandomModel{}.bytes()};
};

TEST_F(DraftsInUse, AConstraintIsKeptToTheSameTokens) {
  const std::vector<test::GrammarPtr> grammars = {
      grammar_from_regex("(?:yes|no|[a-f]{3,12}), \\d{2,4}!"), grammar_from_gbnf("root ::= \"(\" root \")\" | [a-z]+\n"),
      grammar_from_choices(std::vector<std::string>{"red", "green", "Grün", "blue"}),
      grammar_from_json_schema(R"({"type":"object","properties":{"s":{"type":"string","maxLength":9},"l":{"type":"array",
          "items":{"enum":["a","b",null]},"maxItems":3}},"required":["s","l"]})")};
  const auto engine = open(2);
  std::int64_t accepted = 0, rejected = 0;
  for (std::size_t g = 0; g < grammars.size(); ++g) {
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
      SCOPED_TRACE(testing::Message() << "grammar " << g << ", seed " << seed);
      GenerateRequest plain = request(seed);
      plain.constraint = grammars[g];
      plain.ignore_eos = seed % 2 == 0;
      if (seed == 5) plain.scores = 2;
      Session session = engine->new_session();
      const GenerateResult expected = engine->generate(session, plain);
      for (const double wrong : {0.0, 0.3, 1.0}) {
        GenerateRequest drafting = plain;
        drafting.drafts = 5, drafting.draft_source = oracle(whole(plain, expected), wrong, static_cast<std::uint32_t>(seed));
        Session other = engine->new_session();
        const GenerateResult found = engine->generate(other, drafting);
        EXPECT_EQ(found.ids, expected.ids);
        EXPECT_EQ(found.text, expected.text);
        EXPECT_EQ(found.finish_reason, expected.finish_reason);
        EXPECT_EQ(values_of(found.scores), values_of(expected.scores));
        EXPECT_EQ(other.ids, session.ids);
        if (wrong == 0.0) {
          EXPECT_EQ(found.timings.drafted_tokens, found.timings.accepted_tokens);
        }
        accepted += found.timings.accepted_tokens, rejected += found.timings.drafted_tokens - found.timings.accepted_tokens;
      }
      GenerateRequest looking_up = plain;
      looking_up.drafts = 7;
      Session third = engine->new_session();
      EXPECT_EQ(engine->generate(third, looking_up).ids, expected.ids);
    }
  }
  EXPECT_GT(accepted, 200);
  EXPECT_GT(rejected, 10);
}

TEST_F(DraftsInUse, ScoresAreThoseOfPlainDecoding) {
  const auto engine = open();
  GenerateRequest plain = request(4);
  plain.scores = 3, plain.ignore_eos = true;
  Session session = engine->new_session();
  const GenerateResult expected = engine->generate(session, plain);
  GenerateRequest drafting = plain;
  drafting.drafts = 6, drafting.draft_source = oracle(whole(plain, expected), 0.1, 1);
  Session other = engine->new_session();
  const GenerateResult found = engine->generate(other, drafting);
  EXPECT_EQ(found.ids, expected.ids);
  EXPECT_EQ(values_of(found.scores), values_of(expected.scores));
  EXPECT_GT(found.timings.accepted_tokens, 20);
}

struct Ended {
  GenerateResult result;
  std::string error;
  SequenceEvents events() {
    return {{}, [this](const GenerateResult& end, const Error* failed) {
              result = end;
              if (failed != nullptr) error = failed->what();
            }};
  }
};

TEST_F(DraftsInUse, TheSchedulerDraftsWhileOneSequenceRunsAlone) {
  const auto engine = open();
  std::vector<GenerateRequest> plain;
  std::vector<GenerateResult> expected;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    plain.push_back(request(seed, 80));
    plain.back().ignore_eos = true;
    plain.back().prompt.push_back(static_cast<TokenId>(seed));
    Session session = engine->new_session();
    expected.push_back(engine->generate(session, plain.back()));
  }
  const std::uint32_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  Scheduler scheduler(*engine, {.most_running = 4, .prompt_chunk = 16});
  std::int64_t accepted = 0;
  for (int round = 0; round < 10; ++round) {
    std::vector<Ended> ended(plain.size());
    std::size_t next = 0;
    bool more = true;
    while (more || next < plain.size()) {
      // The first runs alone for a while; the others come and go beside it.
      if (next < plain.size() && random() % 25 == 0) {
        SequenceRequest drafting{.generate = plain[next]};
        drafting.generate.drafts = 5;
        drafting.generate.draft_source = oracle(whole(plain[next], expected[next]), 0.1, static_cast<std::uint32_t>(random()));
        EXPECT_NE(scheduler.submit(std::move(drafting), ended[next].events()).ticket, 0u);
        ++next;
      }
      if (random() % 30 == 0) {
        scheduler.call([&] {
          Session session = engine->new_session();
          engine->evaluate(session, plain.front().prompt);
        });
      }
      more = scheduler.step();
    }
    for (std::size_t i = 0; i < plain.size(); ++i) {
      EXPECT_EQ(ended[i].result.ids, expected[i].ids) << i;
      EXPECT_EQ(ended[i].result.text, expected[i].text) << i;
      accepted += ended[i].result.timings.accepted_tokens;
    }
    EXPECT_EQ(scheduler.status().pages_used, scheduler.status().pages_known);
  }
  EXPECT_GT(accepted, 50);
}

TEST_F(DraftsInUse, WhatFailsInAStepEndsItsSequenceAndNoOther) {
  const auto engine = open();
  Scheduler scheduler(*engine, {.most_running = 4});
  SequenceRequest failing{.generate = request(1)};
  failing.generate.ignore_eos = true, failing.generate.drafts = 3;
  failing.generate.draft_source = [](std::span<const TokenId> history, std::size_t) -> Draft {
    if (history.size() > 12) fail(ErrorKind::io, "the source ran dry");
    return {};
  };
  Ended ended, other;
  scheduler.submit(failing, ended.events());
  while (scheduler.step()) {
  }
  EXPECT_EQ(ended.error, "the source ran dry");
  EXPECT_EQ(ended.result.ids.size(), 7u);
  EXPECT_EQ(scheduler.status().failed, 1u);
  scheduler.submit({.generate = request(2)}, other.events());
  while (scheduler.step()) {
  }
  EXPECT_EQ(other.error, "");
  EXPECT_FALSE(other.result.ids.empty());
}

}  // namespace
}  // namespace bitnet
