// The pool runs every part exactly once, also after its workers have parked.
#include "common/thread_pool.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <numeric>

namespace bitnet {
namespace {

class Pool : public testing::TestWithParam<int> {};

TEST_P(Pool, RunsEveryPartOnceInEachOfManyPhases) {
  ThreadPool pool(GetParam());
  std::vector<int> calls(static_cast<std::size_t>(GetParam()));
  for (int phase = 1; phase <= 2000; ++phase) {
    pool.run([&](int part, int threads) {
      EXPECT_EQ(threads, GetParam());
      ++calls[static_cast<std::size_t>(part)];
    });
    for (const int count : calls) ASSERT_EQ(count, phase);
  }
}

TEST_P(Pool, RethrowsAPartsExceptionAfterAllPartsEnded) {
  ThreadPool pool(GetParam());
  for (int thrower = 0; thrower < GetParam(); ++thrower) {
    std::atomic<int> ended{0};
    const auto task = [&](int part, int) {
      ++ended;
      if (part == thrower) throw thrower;
    };
    EXPECT_THROW(pool.run(task), int);
    EXPECT_EQ(ended, GetParam());
    pool.run([&](int, int) { ++ended; });
    EXPECT_EQ(ended, 2 * GetParam()) << "the pool goes on as before";
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

TEST_P(Pool, BalancesWholeUnitsWithoutGapOrOverlap) {
  ThreadPool pool(GetParam());
  for (const std::int64_t count : {0, 1, 15, 16, 17, 100, 2560}) {
    std::vector<std::atomic<int>> hits(static_cast<std::size_t>(count));
    std::vector<std::atomic<int>> running(static_cast<std::size_t>(GetParam()));
    pool.balance(count, 16, [&](std::int64_t begin, std::int64_t end, int part) {
      EXPECT_EQ(running[static_cast<std::size_t>(part)]++, 0) << "one call at a time of a part";
      EXPECT_EQ(begin % 16, 0);
      EXPECT_LT(begin, end);
      for (std::int64_t i = begin; i < end; ++i) ++hits[static_cast<std::size_t>(i)];
      --running[static_cast<std::size_t>(part)];
    });
    for (const auto& hit : hits) ASSERT_EQ(hit, 1) << count;
  }
}

TEST_P(Pool, OthersDoWhatASlowThreadLeaves) {
  ThreadPool pool(GetParam());
  for (int round = 0; round < 200; ++round) {
    constexpr std::int64_t count = 4096;
    std::atomic<std::int64_t> done{0};
    std::atomic<bool> waited{false};
    pool.balance(count, 16, [&](std::int64_t begin, std::int64_t end, int part) {
      if (part == GetParam() - 1 && part > 0 && !waited.exchange(true)) {
        while (done != count - (end - begin)) {  // ends only if the others do all the rest, this thread's part of it too
        }
      }
      done += end - begin;
    });
    ASSERT_EQ(done, count);
  }
}

// All threads share one CPU, as on a busy machine: workers come late to most phases, or in the middle of later ones.
TEST_P(Pool, RunsEveryPartOnceWhereWorkersComeLate) {
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  {
    ThreadPool pool(GetParam());
    std::vector<int> calls(static_cast<std::size_t>(GetParam()));
    for (int phase = 1; phase <= 3000; ++phase) {
      pool.run([&](int part, int) { ++calls[static_cast<std::size_t>(part)]; });
      if (phase % 50 == 0) std::this_thread::yield();
      for (const int count : calls) ASSERT_EQ(count, phase);
    }
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
}

INSTANTIATE_TEST_SUITE_P(Threads, Pool, testing::Values(1, 2, 3, 5));

}  // namespace
}  // namespace bitnet
