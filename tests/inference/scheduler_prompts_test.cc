// In which order the scheduler reads prompts that wait together, and how much it keeps of those that it has read.
#include <gtest/gtest.h>

#include <algorithm>

#include "inference/scheduler.h"
#include "support/random_model.h"
#include "support/sequences.h"

namespace bitnet {
namespace {

using test::plain;

struct Seen {
  std::optional<GenerateResult> result;

  SequenceEvents events() {
    return {{}, [this](const GenerateResult& end, const Error*) { result = end; }};
  }
};

class SchedulerPromptsTest : public testing::Test {
 protected:
  std::unique_ptr<Engine> open(EngineOptions options) {
    file_ = std::make_unique<test::TempFile>(test::RandomModel().bytes());
    options.threads = 1;
    return Engine::open(file_->path(), options);
  }
  std::unique_ptr<test::TempFile> file_;
};

TEST_F(SchedulerPromptsTest, OfPromptsThatComeTogetherTheShortestIsReadFirstAndEqualOnesOneByOne) {
  const auto engine = open({.chunk = 64});
  Scheduler scheduler(*engine, {.most_running = 8, .prompt_chunk = 64, .prefix_cache = false});
  std::vector<Seen> seen(6);
  const std::size_t lengths[] = {400, 63, 63, 63, 63, 10};
  for (std::size_t i = 0; i < seen.size(); ++i)
    scheduler.submit(plain(lengths[i], 1, static_cast<TokenId>(10 + i)), seen[i].events());
  std::vector<int> ends(seen.size());
  for (int step = 1; std::count(ends.begin(), ends.end(), 0) > 0; ++step) {
    ASSERT_LE(step, 20);
    scheduler.step();
    for (std::size_t i = 0; i < seen.size(); ++i) {
      if (ends[i] == 0 && seen[i].result) ends[i] = step;
    }
  }
  EXPECT_EQ(ends[5], 1);
  for (std::size_t i = 1; i < 4; ++i) EXPECT_LT(ends[i], ends[i + 1]) << i;
  EXPECT_LE(ends[4], 9);                             // 262 tokens at 32 a step
  EXPECT_LE(ends[0], (400 + 4 * 63 + 10) / 64 + 3);  // read all the while, though it is the longest
  EXPECT_GT(ends[0], ends[4]);
}

TEST_F(SchedulerPromptsTest, WhatIsKeptOfUnlikePromptsStaysWithinTheContextsOfThoseThatRun) {
  const auto engine = open({.chunk = 256});
  Scheduler scheduler(*engine, {.most_running = 2});
  const std::int64_t most = 2 * (engine->n_ctx() / 64);
  for (TokenId id = 1; id <= 30; ++id) {
    Seen seen;
    scheduler.submit(plain(200, 1, id), seen.events());
    while (!seen.result) scheduler.step();
    scheduler.step();
    EXPECT_EQ(scheduler.status().pages_known, std::min<std::int64_t>(most, 3 * id));
    EXPECT_EQ(scheduler.status().pages_used, scheduler.status().pages_known);
  }
}

}  // namespace
}  // namespace bitnet
