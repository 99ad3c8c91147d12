// Engine: generation, reuse of a session's prefix, stopping, cancelling, and clear refusals.
#include "inference/engine.h"

#include <gmock/gmock.h>

#include "common/error.h"
#include "support/random_model.h"

namespace bitnet {
namespace {

class EngineTest : public testing::Test {
 protected:
  std::unique_ptr<Engine> open(const test::RandomModel& model = {}, EngineOptions options = {}) {
    file_ = std::make_unique<test::TempFile>(model.bytes());
    options.threads = 2;
    return Engine::open(file_->path(), options);
  }
  static GenerateRequest greedy(std::vector<TokenId> prompt, std::int64_t n) {
    GenerateRequest request;
    request.prompt = std::move(prompt), request.max_tokens = n, request.sampling.temperature = 0, request.ignore_eos = true;
    return request;
  }

  std::unique_ptr<test::TempFile> file_;
};

TEST_F(EngineTest, TextIsTheDecodedIds) {
  const auto engine = open();
  Session session = engine->new_session();
  std::string streamed;
  GenerateCallbacks callbacks;
  callbacks.on_text = [&](const TextPiece& piece) { streamed += piece.text; };
  const GenerateResult result = engine->generate(session, greedy({257, 72, 105}, 20), callbacks);
  EXPECT_EQ(result.ids.size(), 20u);
  EXPECT_EQ(result.finish_reason, FinishReason::length);
  EXPECT_EQ(streamed, result.text);
  EXPECT_EQ(result.text, engine->tokenizer()->decode(result.ids));
}

TEST_F(EngineTest, AReusedPrefixChangesNothing) {
  const auto engine = open();
  Session fresh = engine->new_session(), warm = engine->new_session();
  std::vector<TokenId> prompt;
  for (TokenId id = 0; id < 100; ++id) prompt.push_back(id * 7 % 256);
  engine->generate(warm, greedy({prompt.begin(), prompt.begin() + 70}, 10));
  const GenerateResult a = engine->generate(fresh, greedy(prompt, 15)), b = engine->generate(warm, greedy(prompt, 15));
  EXPECT_EQ(a.ids, b.ids);
  EXPECT_EQ(a.timings.cached_tokens, 0);
  EXPECT_GE(b.timings.cached_tokens, 70);
  const GenerateResult again = engine->generate(warm, greedy(prompt, 15));
  EXPECT_EQ(again.ids, a.ids);
  EXPECT_EQ(again.timings.prompt_tokens, 1) << "the last token is evaluated for its logits";
}

TEST_F(EngineTest, ASeedFixesTheDraws) {
  const auto engine = open();
  GenerateRequest request = greedy({257, 65}, 30);
  request.sampling.temperature = 1, request.sampling.seed = 42;
  Session session = engine->new_session();
  const auto first = engine->generate(session, request).ids;
  EXPECT_EQ(engine->generate(session, request).ids, first);
  request.sampling.seed = 43;
  EXPECT_NE(engine->generate(session, request).ids, first);
}

TEST_F(EngineTest, StopsAtStopStringsAndEndTokens) {
  const auto engine = open();
  Session session = engine->new_session();
  GenerateRequest request = greedy({257, 72}, 40);
  request.sampling.logit_bias = {{256, -100.0f}};
  const std::string text = engine->generate(session, request).text;
  ASSERT_GT(text.size(), 6u);
  request.stop = {text.substr(4, 2)};
  const GenerateResult stopped = engine->generate(session, request);
  EXPECT_EQ(stopped.finish_reason, FinishReason::stop);
  EXPECT_EQ(stopped.text, text.substr(0, text.find(request.stop[0])));
  request.stop.clear(), request.ignore_eos = false, request.sampling.logit_bias = {{256, 1000.0f}};
  const GenerateResult ended = engine->generate(session, request);
  EXPECT_EQ(ended.finish_reason, FinishReason::stop);
  EXPECT_THAT(ended.ids, testing::ElementsAre(256));
  EXPECT_EQ(ended.text, "");
}

TEST_F(EngineTest, CancelsInPrefillAndInDecode) {
  const auto engine = open({}, {.chunk = 4});
  Session session = engine->new_session();
  std::atomic<bool> cancel{false};
  GenerateRequest request = greedy(std::vector<TokenId>(40, 9), 50);
  request.cancel = &cancel;
  GenerateCallbacks callbacks;
  callbacks.on_prefill = [&](std::uint64_t done, std::uint64_t) { cancel = done >= 8; };
  const GenerateResult early = engine->generate(session, request, callbacks);
  EXPECT_EQ(early.finish_reason, FinishReason::cancelled);
  EXPECT_EQ(session.ids.size(), 8u);
  cancel = false;
  callbacks = {};
  int pieces = 0;
  callbacks.on_text = [&](const TextPiece&) { cancel = ++pieces == 3; };
  const GenerateResult late = engine->generate(session, request, callbacks);
  EXPECT_EQ(late.finish_reason, FinishReason::cancelled);
  EXPECT_EQ(late.ids.size(), 3u);
}

TEST_F(EngineTest, TheContextBoundsPromptAndAnswer) {
  const auto engine = open({}, {.n_ctx = 20});
  Session session = engine->new_session();
  const GenerateResult result = engine->generate(session, greedy(std::vector<TokenId>(15, 3), -1));
  EXPECT_EQ(result.ids.size(), 5u);
  EXPECT_EQ(result.finish_reason, FinishReason::length);
  EXPECT_THAT([&] { engine->generate(session, greedy(std::vector<TokenId>(21, 3), 1)); },
              testing::ThrowsMessage<Error>("the prompt has 21 tokens, the context holds 20"));
}

TEST_F(EngineTest, RefusesBadRequests) {
  const auto engine = open();
  Session session = engine->new_session();
  EXPECT_THAT([&] { engine->generate(session, greedy({}, 1)); }, testing::ThrowsMessage<Error>("the prompt has no tokens"));
  EXPECT_THAT([&] { engine->generate(session, greedy({1, 258}, 1)); },
              testing::ThrowsMessage<Error>("token 1 of the prompt is 258, allowed are 0 to 257"));
  EXPECT_THROW(engine->generate(session, greedy({-1}, 1)), Error);
}

TEST_F(EngineTest, ChatsByTheFilesTemplate) {
  const auto engine = open({.architecture = "llama"});
  ASSERT_TRUE(engine->has_chat_template());
  const nlohmann::ordered_json messages = {{{"role", "user"}, {"content", "Hi"}}};
  EXPECT_EQ(engine->render_chat(messages), "user: Hi<end>bot: ");
  const auto ids = engine->encode_chat(messages);
  EXPECT_EQ(ids.front(), 257);
  EXPECT_THAT(ids, testing::Contains(256));
}

TEST_F(EngineTest, WorksWithoutATokenizer) {
  const auto engine = open({.tokenizer = false});
  EXPECT_EQ(engine->tokenizer(), nullptr);
  Session session = engine->new_session();
  const GenerateResult result = engine->generate(session, greedy({1, 2}, 4));
  EXPECT_EQ(result.ids.size(), 4u);
  EXPECT_EQ(result.text, "");
  EXPECT_THAT([&] { engine->render_chat(nlohmann::ordered_json::array()); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("no chat template")));
}

TEST_F(EngineTest, LogitsMatchEvaluate) {
  const auto engine = open();
  const std::vector<TokenId> ids = {5, 6, 7, 8};
  std::vector<float> last;
  engine->logits(ids, 2, [&](std::int64_t, std::span<const float> row) { last.assign(row.begin(), row.end()); });
  Session session = engine->new_session();
  const auto logits = engine->evaluate(session, ids);
  EXPECT_EQ(std::vector<float>(logits.values.begin(), logits.values.end()), last);
}

TEST_F(EngineTest, DecodingTogetherIsDecodingAlone) {
  const auto engine = open({.n_vocab = 4096, .tokenizer = false});  // enough rows for the scan of the head
  constexpr std::size_t count = 11;                                 // more than the head takes at once
  std::vector<Session> together, alone;
  for (std::size_t i = 0; i < count; ++i) {
    together.push_back(engine->new_session()), alone.push_back(engine->new_session());
    const std::vector<TokenId> prompt(3 + 17 * i, static_cast<TokenId>(7 * i));
    engine->evaluate(together.back(), prompt), engine->evaluate(alone.back(), prompt);
  }
  for (TokenId id = 60; id < 63; ++id) {
    std::vector<Engine::Step> steps;
    std::vector<LogitQuery> queries(count);
    std::vector<std::vector<TokenId>> ids(count);
    for (std::size_t i = 0; i < count; ++i) {
      queries[i].count = static_cast<std::int64_t>(i % 3 * 5);  // every logit, or the best five or ten
      ids[i].assign(i % 4 == 3 ? 5 : 1, static_cast<TokenId>(id + static_cast<TokenId>(i)));
      steps.push_back({&together[i], ids[i], {&queries[i], 1}});
    }
    std::vector<std::pair<std::vector<TokenId>, std::vector<float>>> found;
    engine->step(steps, [&](std::size_t i, std::size_t, const LogitSet& logits) {
      EXPECT_EQ(i, found.size());
      found.push_back({{logits.ids.begin(), logits.ids.end()}, {logits.values.begin(), logits.values.end()}});
    });
    ASSERT_EQ(found.size(), count);
    for (std::size_t i = 0; i < count; ++i) {
      const LogitSet single = engine->evaluate(alone[i], ids[i], queries[i]);
      EXPECT_TRUE(std::ranges::equal(found[i].first, single.ids)) << i;
      EXPECT_TRUE(std::ranges::equal(found[i].second, single.values)) << i;
    }
  }
  EXPECT_EQ(together[2].ids, alone[2].ids);
}

TEST_F(EngineTest, AFullSessionStopsTheStepBeforeItChangesAnother) {
  const auto engine = open({}, {.n_ctx = 8});
  Session full = engine->new_session(), other = engine->new_session();
  engine->evaluate(full, std::vector<TokenId>(8, 3)), engine->evaluate(other, std::vector<TokenId>(2, 3));
  const TokenId id = 1;
  const std::vector<Engine::Step> steps = {{&other, {&id, 1}}, {&full, {&id, 1}}};
  EXPECT_THROW(engine->step(steps, {}), Error);
  EXPECT_EQ(other.ids.size(), 2u);
  EXPECT_EQ(other.cache->length(), 2);
}

TEST_F(EngineTest, NotANumberInTheWeightsEndsTheRequestOnly) {
  test::RandomModel model{.tokenizer = false};
  std::string bytes = model.bytes();
  const std::string name = "output_norm.weight";
  // The first float of the tensor that follows the embedding: its data begins 32-aligned behind it, as the builder lays it out.
  const std::size_t data = bytes.size() - bytes.size() % 32;
  ASSERT_EQ(data, bytes.size());
  const auto engine_ok = open(model);
  std::size_t header_end = bytes.rfind("blk.1.ffn_down.weight") + 21 + 4 + 16 + 4 + 8;
  header_end = (header_end + 31) / 32 * 32;
  const std::size_t norm_at = header_end + std::size_t{258} * 128 * 4;
  const float nan = NAN;
  std::memcpy(bytes.data() + norm_at, &nan, sizeof nan);
  const test::TempFile broken(bytes);
  const auto engine = Engine::open(broken.path(), {.threads = 1});
  Session session = engine->new_session();
  EXPECT_THAT([&] { engine->generate(session, greedy({1}, 1)); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("model output is invalid")));
}

}  // namespace
}  // namespace bitnet
