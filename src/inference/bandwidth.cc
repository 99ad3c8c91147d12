// Measures how fast the machine reads memory: the bound that decode speed is held against.
#include <vector>

#include "common/buffer.h"
#include "common/stopwatch.h"
#include "common/thread_pool.h"
#include "inference/engine.h"

namespace bitnet {
namespace {

constexpr std::int64_t bytes = 512 << 20;  // far above any last-level cache that two cores would share
constexpr int passes = 5;

// Sums in eight independent streams so that additions do not limit the reading.
std::uint64_t read_all(const std::uint64_t* p, std::int64_t n) {
  std::uint64_t sums[8] = {};
  for (std::int64_t i = 0; i + 8 <= n; i += 8) {
    for (int lane = 0; lane < 8; ++lane) sums[lane] += p[i + lane];
  }
  std::uint64_t total = 0;
  for (const std::uint64_t sum : sums) total += sum;
  return total;
}

}  // namespace

double measure_read_bandwidth(ThreadPool& pool) {
  Buffer memory(static_cast<std::size_t>(bytes));
  auto* words = memory.as<std::uint64_t>();
  constexpr std::int64_t count = bytes / 8;
  // Each thread writes first what it will read, so that pages lie near it.
  pool.split(count, 512, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) words[i] = static_cast<std::uint64_t>(i);
  });
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(pool.threads()));
  double best = 0;
  for (int pass = 0; pass < passes; ++pass) {
    const Stopwatch stopwatch;
    pool.run([&](int thread, int threads) {
      const auto [begin, end] = ThreadPool::part(count, 512, thread, threads);
      sums[static_cast<std::size_t>(thread)] = read_all(words + begin, end - begin);
    });
    const double seconds = stopwatch.seconds();
    std::uint64_t total = 0;
    for (const std::uint64_t sum : sums) total += sum;
    // The sum is used, so the reading cannot be left out: 0 + 1 + ... + (count - 1), modulo 2^64.
    constexpr auto n = static_cast<std::uint64_t>(count);
    if (total == n / 2 * (n - 1)) best = std::max(best, static_cast<double>(bytes) / seconds);
  }
  return best;
}

double measure_read_bandwidth(int threads) {
  ThreadPool pool(threads);
  return measure_read_bandwidth(pool);
}

}  // namespace bitnet
