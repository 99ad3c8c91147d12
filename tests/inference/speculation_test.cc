// Speculation: whatever is drafted, right, wrong or nonsense, a request gives what it gives without drafts, to the last bit.
#include "inference/speculation.h"

#include <gmock/gmock.h>

#include <random>

#include "common/error.h"
#include "inference/engine.h"
#include "support/random_model.h"

namespace bitnet {
namespace {

// All that a caller can see of a request, and of the session afterwards.
struct Seen {
  std::vector<TokenId> ids;
  std::string text;
  std::vector<std::pair<std::string, TokenId>> pieces;
  FinishReason finish_reason{};
  std::vector<TokenId> session_ids;
  std::int64_t cache_length = 0;

  bool operator==(const Seen&) const = default;
};

void PrintTo(const Seen& seen, std::ostream* out) {
  *out << text(seen.finish_reason) << ", session of " << seen.session_ids.size() << ", cache of " << seen.cache_length << ":";
  for (const TokenId id : seen.ids) *out << " " << id;
}

// `cancel_after` pieces; 0 = never.
Seen seen_of(Engine& engine, Session& session, GenerateRequest request, std::size_t cancel_after, Timings* timings = nullptr) {
  std::atomic<bool> cancel{false};
  request.cancel = &cancel;
  Seen seen;
  GenerateCallbacks callbacks;
  callbacks.on_text = [&](const TextPiece& piece) {
    seen.pieces.emplace_back(piece.text, piece.id);
    if (seen.pieces.size() == cancel_after) cancel = true;
  };
  GenerateResult result = engine.generate(session, request, callbacks);
  if (timings != nullptr) *timings = result.timings;
  seen.ids = std::move(result.ids), seen.text = std::move(result.text), seen.finish_reason = result.finish_reason;
  seen.session_ids = session.ids, seen.cache_length = session.cache->length();
  return seen;
}

std::vector<float> logits_behind(Engine& engine, Session& session, TokenId id) {
  const LogitSet logits = engine.evaluate(session, {&id, 1});
  return {logits.values.begin(), logits.values.end()};
}

// Drafts that repeat a known continuation of a prompt, each token wrong with some probability.
DraftSource oracle(std::vector<TokenId> text, double wrong, std::uint32_t seed) {
  return
      [text = std::move(text), wrong, random = std::mt19937(seed)](std::span<const TokenId> history, std::size_t most) mutable {
        Draft draft;
        for (std::size_t i = history.size(); i < text.size() && draft.ids.size() < most; ++i) {
          const bool lie = std::uniform_real_distribution<>()(random) < wrong;
          draft.ids.push_back(lie ? static_cast<TokenId>(random() % 250) : text[i]);
        }
        return draft;
      };
}

// Wrong ids, ids that are none, and more of them than were asked for.
DraftSource nonsense(std::uint32_t seed) {
  return [random = std::mt19937(seed)](std::span<const TokenId>, std::size_t most) mutable {
    Draft draft;
    for (std::size_t i = 0; i < most + 3; ++i) draft.ids.push_back(static_cast<TokenId>(random() % 300) - 4);
    return draft;
  };
}

class SpeculationTest : public testing::Test {
 protected:
  TokenId some_id() { return static_cast<TokenId>(random_() % 256); }
  bool chance(std::uint32_t one_in) { return random_() % one_in == 0; }

  // Texts with repeats in them, so that lookups find something.
  std::vector<TokenId> some_prompt() {
    std::vector<TokenId> ids = {257}, phrase;
    for (std::size_t n = 2 + random_() % 8; n > 0; --n) phrase.push_back(some_id());
    for (std::size_t n = random_() % 9; n > 0; --n) {
      ids.insert(ids.end(), phrase.begin(), phrase.end());
      if (chance(3)) ids.push_back(some_id());
    }
    return ids;
  }

  SamplingParams some_sampling() {
    SamplingParams s;
    s.seed = random_();
    s.temperature = chance(2) ? 0.0f : chance(3) ? 2.0f : 0.5f;
    if (chance(3)) s.top_k = chance(2) ? 0 : 5;
    if (chance(3)) s.top_p = 0.8f;
    if (chance(3)) s.min_p = 0;
    if (chance(6)) s.typical_p = 0.7f;
    if (chance(2)) s.repeat_penalty = 1.2f, s.repeat_last_n = chance(2) ? -1 : 6;
    if (chance(3)) s.presence_penalty = 0.6f, s.frequency_penalty = 0.3f;
    if (chance(3)) s.logit_bias = {{some_id(), 6.0f}, {some_id(), 5.0f}, {256, chance(2) ? 4.0f : -50.0f}};
    return s;
  }

  GenerateRequest some_request(std::vector<TokenId> prompt) {
    GenerateRequest request;
    request.prompt = std::move(prompt);
    request.max_tokens = chance(5) ? -1 : static_cast<std::int64_t>(random_() % 60);
    request.sampling = some_sampling();
    request.ignore_eos = chance(2);
    return request;
  }

  // Stop strings that cut the text somewhere, most of them.
  std::vector<std::string> some_stops(const std::string& text) {
    std::vector<std::string> stops;
    while (chance(2)) {
      const std::size_t at = text.empty() ? 0 : random_() % text.size();
      stops.push_back(at + 3 < text.size() ? text.substr(at, 1 + random_() % 3) : "never");
    }
    return stops;
  }

  // One conversation without drafts and, at the same time, one with each way to draft.
  void expect_equal_conversations(Engine& engine, int turns) {
    constexpr int ways = 9;
    Session plain = engine.new_session();
    std::vector<Session> others;
    for (int way = 0; way < ways; ++way) others.push_back(engine.new_session());
    std::vector<TokenId> prompt = some_prompt();
    for (int turn = 0; turn < turns && static_cast<std::int64_t>(prompt.size()) < engine.n_ctx(); ++turn) {
      GenerateRequest request = some_request(prompt);
      request.drafts = 0;
      {
        Session session = engine.new_session();
        request.stop = some_stops(engine.generate(session, request).text);
      }
      const std::size_t cancel_after = chance(4) ? 1 + random_() % 20 : 0;
      const Seen expected = seen_of(engine, plain, request, cancel_after);
      std::vector<TokenId> text = request.prompt;
      text.insert(text.end(), expected.ids.begin(), expected.ids.end());
      for (int way = 0; way < ways; ++way) {
        GenerateRequest drafting = request;
        drafting.drafts = std::array<std::int64_t, ways>{drafts_auto, 1, 3, 7, 20, 7, 12, 4, drafts_auto}[way];
        const auto seed = static_cast<std::uint32_t>(random_());
        if (way >= 5) drafting.draft_source = way == 7 ? nonsense(seed) : oracle(text, way == 6 ? 0.2 : 0, seed);
        Timings timings;
        ASSERT_EQ(seen_of(engine, others[static_cast<std::size_t>(way)], drafting, cancel_after, &timings), expected)
            << "way " << way << ", turn " << turn;
        ASSERT_LE(timings.accepted_tokens, timings.drafted_tokens);
        accepted_[static_cast<std::size_t>(way)] += timings.accepted_tokens;
        rejected_[static_cast<std::size_t>(way)] += timings.drafted_tokens - timings.accepted_tokens;
      }
      prompt = text;
      if (chance(3)) prompt.resize(1 + random_() % prompt.size());
      for (const TokenId id : some_prompt()) prompt.push_back(id);
    }
    if (plain.cache->length() == engine.n_ctx()) return;
    const std::vector<float> logits = logits_behind(engine, plain, 65);
    for (Session& session : others) ASSERT_EQ(logits_behind(engine, session, 65), logits);
  }

  std::mt19937 random_{20};
  std::array<std::int64_t, 9> accepted_{}, rejected_{};
};

TEST_F(SpeculationTest, GivesWhatPlainDecodingGives) {
  for (int round = 0; round < 45; ++round) {
    test::RandomModel model{.architecture = chance(3) ? "llama" : "bitnet-b1.58", .n_ctx = chance(3) ? 90u : 512u};
    model.seed = static_cast<std::uint32_t>(random_());
    const test::TempFile file(model.bytes());
    EngineOptions options{.threads = 1 + round % 3, .kv = std::array{KvType::f32, KvType::f16, KvType::int8}[round / 3 % 3]};
    if (chance(3)) options.chunk = chance(2) ? 1 : 5;
    const auto engine = Engine::open(file.path(), options);
    expect_equal_conversations(*engine, 3);
    ASSERT_FALSE(HasFatalFailure()) << "round " << round << ", " << options.threads << " threads, chunk " << options.chunk;
  }
  for (const std::size_t way : {1u, 2u, 3u, 4u, 5u, 6u}) EXPECT_GT(accepted_[way], 50) << "way " << way;
  for (const std::size_t way : {3u, 4u, 6u, 7u}) EXPECT_GT(rejected_[way], 50) << "way " << way;
}

// Where the head is scanned, what one position finds may not depend on those beside it.
TEST_F(SpeculationTest, GivesWhatPlainDecodingGivesWithAScannedHead) {
  const test::TempFile file(test::RandomModel{.n_vocab = 4096, .tokenizer = false}.bytes());
  for (const int threads : {1, 3}) {
    const auto engine = Engine::open(file.path(), {.threads = threads});
    for (int round = 0; round < 4; ++round) expect_equal_conversations(*engine, 2);
    ASSERT_FALSE(HasFatalFailure()) << threads << " threads";
  }
}

TEST_F(SpeculationTest, ComputesNoTokenTwiceWhenEveryDraftIsRight) {
  const test::TempFile file(test::RandomModel{}.bytes());
  const auto engine = Engine::open(file.path(), {.threads = 1});
  GenerateRequest request;
  request.prompt = {257, 70}, request.max_tokens = 41, request.sampling.temperature = 1.5f, request.ignore_eos = true;
  request.drafts = 0;
  Session session = engine->new_session();
  std::vector<TokenId> text = request.prompt;
  for (const TokenId id : engine->generate(session, request).ids) text.push_back(id);
  request.drafts = 4, request.draft_source = oracle(text, 0, 1);
  const Timings timings = engine->generate(session, request).timings;
  // The first token comes from the prompt; the last one is not computed. 39 behind the first: 7 steps of five, and one of four.
  EXPECT_EQ(timings.drafted_tokens, 32);
  EXPECT_EQ(timings.accepted_tokens, 32);
}

TEST_F(SpeculationTest, NeverPassesTheEndOfTheContext) {
  const test::TempFile file(test::RandomModel{}.bytes());
  const auto engine = Engine::open(file.path(), {.threads = 1, .n_ctx = 20});
  GenerateRequest request;
  request.prompt.assign(15, 3), request.sampling.temperature = 0, request.ignore_eos = true;
  request.drafts = 64;
  request.draft_source = [](std::span<const TokenId>, std::size_t most) { return Draft{std::vector<TokenId>(most, 3)}; };
  Session session = engine->new_session();
  const GenerateResult result = engine->generate(session, request);
  EXPECT_EQ(result.ids.size(), 5u);
  EXPECT_EQ(result.finish_reason, FinishReason::length);
  EXPECT_EQ(session.ids.size(), 19u);
}

TEST_F(SpeculationTest, RefusesANumberOutOfBounds) {
  const test::TempFile file(test::RandomModel{}.bytes());
  const auto engine = Engine::open(file.path(), {.threads = 1});
  Session session = engine->new_session();
  for (const std::int64_t drafts : {std::int64_t{-2}, most_drafts + 1}) {
    GenerateRequest request;
    request.prompt = {1}, request.max_tokens = 1, request.drafts = drafts;
    EXPECT_THAT([&] { engine->generate(session, request); },
                testing::ThrowsMessage<Error>(testing::HasSubstr("allowed are -1 (as many as pay) to 64")));
  }
}

}  // namespace
}  // namespace bitnet
