// The pool runs every part exactly once, also after its workers have parked.
#include "common/thread_pool.h"

#include <gtest/gtest.h>

#include <numeric>

namespace bitnet {
namespace {

class Pool : public testing::TestWithParam<int> {};

TEST_P(Pool, RunsEveryThreadOnceInEachOfManyPhases) {
  ThreadPool pool(GetParam());
  std::vector<int> calls(static_cast<std::size_t>(GetParam()));
  for (int phase = 1; phase <= 2000; ++phase) {
    pool.run([&](int thread, int threads) {
      EXPECT_EQ(threads, GetParam());
      ++calls[static_cast<std::size_t>(thread)];
    });
    for (const int count : calls) ASSERT_EQ(count, phase);
  }
}

TEST_P(Pool, WakesWorkersThatHaveParked) {
  ThreadPool pool(GetParam());
  std::atomic<int> calls{0};
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(
        std::chrono::milliseconds(2));  // twenty times the spinning time: lets them park, asserts nothing
    pool.run([&](int, int) { ++calls; });
  }
  EXPECT_EQ(calls, 20 * GetParam());
}

TEST_P(Pool, SplitsIntoWholeUnitsWithoutGapOrOverlap) {
  ThreadPool pool(GetParam());
  for (const std::int64_t count : {0, 1, 15, 16, 17, 100, 2560}) {
    std::vector<std::atomic<int>> hits(static_cast<std::size_t>(count));
    pool.split(count, 16, [&](std::int64_t begin, std::int64_t end) {
      EXPECT_EQ(begin % 16, 0);
      for (std::int64_t i = begin; i < end; ++i) ++hits[static_cast<std::size_t>(i)];
    });
    for (const auto& hit : hits) ASSERT_EQ(hit, 1) << count;
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, Pool, testing::Values(1, 2, 3, 5));

}  // namespace
}  // namespace bitnet
