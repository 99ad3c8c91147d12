// Many sequences at once: each ends as it would alone, whatever shares its batches, and leaves nothing behind.
#include "inference/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "support/random_model.h"
#include "support/sequences.h"

namespace bitnet {
namespace {

using test::plain;

// What a caller saw of one sequence.
struct Seen {
  std::string text;
  std::vector<TokenId> ids;
  std::optional<GenerateResult> result;
  std::string error;

  SequenceEvents events() {
    return {[this](const TextPiece& piece) {
              text += piece.text;
              if (piece.id >= 0) ids.push_back(piece.id);
            },
            [this](const GenerateResult& end, const Error* failed) {
              EXPECT_FALSE(result.has_value()) << "ended twice";
              result = end;
              if (failed != nullptr) error = failed->what();
            }};
  }
};

class SchedulerTest : public testing::Test {
 protected:
  std::unique_ptr<Engine> open(EngineOptions options = {}, test::RandomModel model = {}) {
    file_ = std::make_unique<test::TempFile>(model.bytes());
    if (options.threads == 0) options.threads = 1;
    return Engine::open(file_->path(), options);
  }
  std::unique_ptr<test::TempFile> file_;
};

// Prompts of which many begin alike, with all kinds of settings; a given seed makes the same ones.
std::vector<SequenceRequest> mixed_requests(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
  std::vector<TokenId> common(200);
  for (TokenId& id : common) id = static_cast<TokenId>(below(256));
  std::vector<SequenceRequest> requests;
  for (std::size_t i = 0; i < count; ++i) {
    SequenceRequest request;
    GenerateRequest& g = request.generate;
    if (below(2) == 0) g.prompt.assign(common.begin(), common.begin() + 1 + below(200));
    for (std::uint32_t more = 1 + below(90); more > 0; --more) g.prompt.push_back(static_cast<TokenId>(below(256)));
    g.max_tokens = below(8) == 0 ? 0 : 1 + below(40);
    g.sampling.temperature = below(3) == 0 ? 0.0f : 0.9f;
    g.sampling.top_k = below(2) == 0 ? 40 : 0;
    g.sampling.seed = below(5);
    if (below(3) == 0) g.sampling.repeat_penalty = 1.3f;
    if (below(4) == 0) g.stop = {std::string(1, static_cast<char>('a' + below(26)))};
    g.ignore_eos = below(2) == 0;
    request.sequence = below(3);
    request.priority = static_cast<int>(below(3)) - 1;
    if (below(4) == 0) request.tenant = "other";
    requests.push_back(std::move(request));
  }
  return requests;
}

// As Engine::generate does it, but with the draws of the request's sequence.
GenerateResult alone(Engine& engine, const SequenceRequest& request) {
  Generation generation = engine.generation(request.generate, request.sequence);
  Session session = engine.new_session();
  while (!generation.finished()) {
    const auto ids = generation.history().subspan(session.ids.size());
    generation.put(engine.evaluate(session, ids, generation.query()), {});
  }
  return {generation.text(),   {generation.drawn().begin(), generation.drawn().end()},
          generation.reason(), {},
          generation.scores(), {}};
}

void expect_same(const Seen& seen, const GenerateResult& expected, std::size_t i) {
  ASSERT_TRUE(seen.result.has_value()) << i;
  EXPECT_EQ(seen.error, "") << i;
  EXPECT_EQ(seen.result->ids, expected.ids) << i;
  EXPECT_EQ(seen.result->text, expected.text) << i;
  EXPECT_EQ(seen.text, expected.text) << i;
  EXPECT_EQ(seen.result->finish_reason, expected.finish_reason) << i;
}

struct Case {
  int threads;
  std::int64_t chunk;
  bool prefix_cache;
  std::int64_t pages;  // of the KV cache; 0 = no limit
};

class SchedulerExactness : public SchedulerTest, public testing::WithParamInterface<Case> {};

// The expected results come from an engine with other threads and another chunk, so that nothing is right by accident.
TEST_P(SchedulerExactness, SequencesEndAsTheyDoAlone) {
  const Case c = GetParam();
  const std::uint32_t seed = 20;
  const std::vector<SequenceRequest> requests = mixed_requests(64, seed);
  std::vector<GenerateResult> expected;
  {
    const auto reference = open({.threads = 1, .chunk = 64});
    for (const SequenceRequest& request : requests) expected.push_back(alone(*reference, request));
  }
  const auto page = static_cast<std::uint64_t>(KvShape{KvType::f16, 2, 2, 32}.page_bytes());
  const auto engine = open({.threads = c.threads, .kv_bytes = static_cast<std::uint64_t>(c.pages) * page, .chunk = c.chunk});
  std::vector<Seen> seen(requests.size());
  std::uint64_t preempted = 0, cached = 0;
  {
    Scheduler scheduler(*engine, {.most_running = 12, .most_waiting = 64, .prompt_chunk = 40, .prefix_cache = c.prefix_cache});
    std::mt19937 random(seed);
    std::size_t next = 0;
    bool more = true;
    while (more || next < requests.size()) {
      for (std::uint32_t arrivals = random() % 4; arrivals > 0 && next < requests.size(); --arrivals, ++next)
        EXPECT_NE(scheduler.submit(requests[next], seen[next].events()).ticket, 0u);
      more = scheduler.step();
    }
    preempted = scheduler.status().preempted, cached = scheduler.status().cached_tokens;
    EXPECT_EQ(scheduler.status().finished, requests.size());
    EXPECT_EQ(scheduler.status().failed, 0u);
    EXPECT_EQ(scheduler.status().pages_used, scheduler.status().pages_known);
  }
  EXPECT_EQ(engine->kv_pages().used(), 0);
  for (std::size_t i = 0; i < requests.size(); ++i) expect_same(seen[i], expected[i], i);
  EXPECT_EQ(cached > 0, c.prefix_cache);
  if (c.pages > 0) {
    EXPECT_GT(preempted, 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Settings, SchedulerExactness,
                         testing::Values(Case{1, 16, true, 0}, Case{2, 512, true, 0}, Case{3, 16, false, 0},
                                         Case{1, 512, false, 0}, Case{2, 512, true, 10}, Case{2, 16, false, 10}));

TEST_F(SchedulerTest, RandomCancellationsLeaveNoPageBehindAndDisturbNobody) {
  const std::uint32_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  const std::vector<SequenceRequest> requests = mixed_requests(240, seed);
  const auto engine = open({.threads = 2, .chunk = 64});
  std::vector<Seen> seen(requests.size());
  std::vector<std::uint64_t> tickets;
  std::mt19937 random(seed);
  std::vector<bool> cancelled(requests.size(), false);
  {
    Scheduler scheduler(*engine, {.most_running = 8, .most_waiting = 300, .prompt_chunk = 32});
    for (std::size_t i = 0; i < requests.size(); ++i) tickets.push_back(scheduler.submit(requests[i], seen[i].events()).ticket);
    std::size_t cancels = 0;
    while (scheduler.step()) {
      const std::size_t which = random() % requests.size();
      if (cancels < 200 && !cancelled[which]) {
        scheduler.cancel(tickets[which]);
        cancelled[which] = true, ++cancels;
      }
    }
    EXPECT_EQ(scheduler.status().finished, requests.size());
    EXPECT_EQ(scheduler.status().pages_used, scheduler.status().pages_known);
    EXPECT_GT(scheduler.status().cancelled, 20u);
  }
  EXPECT_EQ(engine->kv_pages().used(), 0);
  for (std::size_t i = 0; i < requests.size(); i += 3) {
    const GenerateResult expected = alone(*engine, requests[i]);
    ASSERT_TRUE(seen[i].result.has_value());
    if (seen[i].result->finish_reason != FinishReason::cancelled) {
      expect_same(seen[i], expected, i);
    } else {
      ASSERT_LE(seen[i].result->ids.size(), expected.ids.size());
      EXPECT_TRUE(std::equal(seen[i].result->ids.begin(), seen[i].result->ids.end(), expected.ids.begin()));
    }
  }
}

std::vector<TokenId> alone_ids(Engine& engine, const SequenceRequest& request) { return alone(engine, request).ids; }

TEST_F(SchedulerTest, CancellingTakesEffectBeforeTheNextStep) {
  const auto engine = open({.chunk = 16});
  Scheduler scheduler(*engine, {.most_running = 2, .prompt_chunk = 16});
  Seen decoding, reading, queued;
  const std::uint64_t a = scheduler.submit(plain(3, 100), decoding.events()).ticket;
  scheduler.step();
  const std::uint64_t b = scheduler.submit(plain(400, 5, 6), reading.events()).ticket;
  const std::uint64_t c = scheduler.submit(plain(3, 5, 7), queued.events()).ticket;
  scheduler.step();
  EXPECT_EQ(scheduler.status().running, 2);
  EXPECT_EQ(scheduler.status().waiting, 1);
  const std::size_t drawn = decoding.ids.size();
  for (const std::uint64_t ticket : {a, b, c}) scheduler.cancel(ticket);
  EXPECT_FALSE(scheduler.step());
  for (Seen* seen : {&decoding, &reading, &queued}) {
    ASSERT_TRUE(seen->result.has_value());
    EXPECT_EQ(seen->result->finish_reason, FinishReason::cancelled);
  }
  EXPECT_EQ(decoding.result->ids.size(), drawn);
  EXPECT_TRUE(reading.result->ids.empty());
  scheduler.cancel(a), scheduler.cancel(12345);
  EXPECT_FALSE(scheduler.step());
}

TEST_F(SchedulerTest, ALongPromptDoesNotStopOthersAndAShortOneIsNotKeptWaiting) {
  const auto engine = open({.chunk = 64});
  Scheduler scheduler(*engine, {.most_running = 4, .prompt_chunk = 32, .prefix_cache = false});
  Seen decoding, reading, brief;
  scheduler.submit(plain(3, 200), decoding.events());
  scheduler.step();
  scheduler.submit(plain(400, 1, 6), reading.events());
  std::size_t before = decoding.ids.size();
  int steps = 0;
  scheduler.step();
  scheduler.submit(plain(16, 1, 7), brief.events());
  for (; !brief.result; ++steps) scheduler.step();
  EXPECT_LE(steps, 2);
  for (steps += 1; !reading.result; ++steps) scheduler.step();
  EXPECT_EQ(decoding.ids.size() - before, static_cast<std::size_t>(steps));  // one token every step
  EXPECT_GE(steps, 400 / 32);
  EXPECT_LE(steps, 400 / 32 + 3);
}

TEST_F(SchedulerTest, TheSecondOfTwoEqualBeginningsReadsOnlyItsOwnPart) {
  const auto engine = open({.chunk = 64});
  Scheduler scheduler(*engine, {.most_running = 4});
  std::vector<Seen> seen(4);
  for (std::size_t i = 0; i < 3; ++i) scheduler.submit(plain(300, 3), seen[i].events());  // at once
  while (scheduler.step()) {
  }
  SequenceRequest stranger = plain(300, 3);
  stranger.tenant = "stranger";
  scheduler.submit(std::move(stranger), seen[3].events());
  while (scheduler.step()) {
  }
  EXPECT_EQ(seen[0].result->timings.cached_tokens, 0);
  EXPECT_EQ(seen[1].result->timings.cached_tokens, 256);
  EXPECT_EQ(seen[2].result->timings.cached_tokens, 256);
  EXPECT_EQ(seen[3].result->timings.cached_tokens, 0);
  for (const Seen& s : seen) EXPECT_EQ(s.ids, seen[0].ids);
}

TEST_F(SchedulerTest, HigherPrioritiesComeFirstAndDeadlinesEnd) {
  const auto engine = open();
  Scheduler scheduler(*engine, {.most_running = 1});
  std::vector<int> order;
  const auto note = [&](int which) {
    return SequenceEvents{{}, [&order, which](const GenerateResult&, const Error*) { order.push_back(which); }};
  };
  SequenceRequest low = plain(3, 3), high = plain(3, 3, 6), late = plain(3, 3, 7);
  low.priority = -1, high.priority = 1;
  late.deadline = SchedulerClock::now() - std::chrono::seconds(1);
  Seen seen;
  scheduler.submit(low, note(0)), scheduler.submit(plain(3, 3), note(1)), scheduler.submit(high, note(2));
  scheduler.submit(late, seen.events());
  while (scheduler.step()) {
  }
  EXPECT_THAT(order, testing::ElementsAre(2, 1, 0));
  EXPECT_EQ(seen.result->finish_reason, FinishReason::deadline);
}

TEST_F(SchedulerTest, AFullQueueSaysHowLongItWillTake) {
  const auto engine = open();
  Scheduler scheduler(*engine, {.most_running = 2, .most_waiting = 3});
  std::vector<Seen> seen(6);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_NE(scheduler.submit(plain(20, 30), seen[i].events()).ticket, 0u);
  for (int i = 0; i < 5; ++i) scheduler.step();
  for (std::size_t i = 2; i < 5; ++i) {
    const Admission admission = scheduler.submit(plain(20, 30), seen[i].events());
    EXPECT_NE(admission.ticket, 0u);
    EXPECT_GT(admission.seconds, 0);
  }
  const Admission refused = scheduler.submit(plain(20, 30), seen[5].events());
  EXPECT_EQ(refused.ticket, 0u);
  EXPECT_GT(refused.seconds, 0);
  while (scheduler.step()) {
  }
  EXPECT_FALSE(seen[5].result.has_value());
  EXPECT_EQ(scheduler.status().refused, 1u);
  EXPECT_NE(scheduler.submit(plain(20, 1), seen[5].events()).ticket, 0u);
}

TEST_F(SchedulerTest, RefusesBadRequestsAndOptionsOnTheCallersThread) {
  const auto engine = open({.n_ctx = 100, .chunk = 8});
  Scheduler scheduler(*engine, {.most_running = 2});
  EXPECT_THAT([&] { scheduler.submit(plain(101, 1), {}); },
              testing::ThrowsMessage<Error>("the prompt has 101 tokens, the context holds 100"));
  EXPECT_THROW(scheduler.submit(plain(0, 1), {}), Error);
  SequenceRequest bad = plain(3, 1);
  bad.generate.sampling.top_p = 2;
  EXPECT_THROW(scheduler.submit(bad, {}), Error);
  EXPECT_FALSE(scheduler.step());
  EXPECT_THAT([&] { Scheduler wide(*engine, {.most_running = 9}); },
              testing::ThrowsMessage<Error>("the number of running sequences is 9, allowed are 1 to 8"));
  EXPECT_THAT([&] { open({.kv_bytes = 1000}); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("a context of 512 tokens takes")));
}

TEST_F(SchedulerTest, ThreadsSubmitCancelAndStopWhileItRuns) {
  const std::vector<SequenceRequest> requests = mixed_requests(48, 77);
  const auto engine = open({.threads = 2, .chunk = 32});
  std::vector<GenerateResult> expected;
  for (const SequenceRequest& request : requests) expected.push_back(alone(*engine, request));
  std::vector<Seen> seen(requests.size()), dropped(requests.size());
  Scheduler scheduler(*engine, {.most_running = 16, .most_waiting = 96, .prompt_chunk = 40});
  std::thread stepping([&] { scheduler.run(); });
  std::vector<std::thread> callers;
  for (std::size_t c = 0; c < 4; ++c) {
    callers.emplace_back([&, c] {
      for (std::size_t i = c; i < requests.size(); i += 4) {
        scheduler.submit(requests[i], seen[i].events());
        scheduler.cancel(scheduler.submit(requests[i], dropped[i].events()).ticket);
        scheduler.status();
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  scheduler.stop(true);
  stepping.join();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    expect_same(seen[i], expected[i], i);
    EXPECT_TRUE(dropped[i].result.has_value());
  }
  Seen late;
  EXPECT_EQ(scheduler.submit(plain(3, 3), late.events()).ticket, 0u);
}

TEST_F(SchedulerTest, OtherUsesOfTheEngineRunBetweenSteps) {
  const auto engine = open();
  Scheduler scheduler(*engine, {.most_running = 2});
  const std::vector<TokenId> ids = {1, 2, 3};
  Session session = engine->new_session();
  const LogitSet alone = engine->evaluate(session, ids);
  const std::vector<float> expected(alone.values.begin(), alone.values.end());
  Seen seen;
  scheduler.submit(plain(10, 50), seen.events());
  scheduler.step();
  std::vector<float> found;
  EXPECT_TRUE(scheduler.call([&] {
    Session between = engine->new_session();
    const LogitSet logits = engine->evaluate(between, ids);
    found.assign(logits.values.begin(), logits.values.end());
  }));
  while (scheduler.step()) {
  }
  EXPECT_EQ(found, expected);
  EXPECT_EQ(seen.ids, alone_ids(*engine, plain(10, 50)));
  scheduler.stop(true);
  EXPECT_FALSE(scheduler.call([] { FAIL(); }));
}

TEST_F(SchedulerTest, StoppingWithoutDrainingEndsAllAtOnce) {
  const auto engine = open();
  std::vector<Seen> seen(20);
  Scheduler scheduler(*engine, {.most_running = 4, .most_waiting = 64});
  for (Seen& s : seen) scheduler.submit(plain(10, 400), s.events());
  scheduler.stop(false);
  scheduler.run();
  for (const Seen& s : seen) {
    ASSERT_TRUE(s.result.has_value());
    EXPECT_EQ(s.result->finish_reason, FinishReason::cancelled);
  }
}

}  // namespace
}  // namespace bitnet
