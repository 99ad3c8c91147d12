// ThreadPool: runs one function on a fixed set of threads; workers spin for the next phase, then park.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace bitnet {

// The caller is thread 0, so a pool of one has no workers. One run() at a time; tasks must not throw.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // at least 1
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls task(thread, threads()) once on every thread and returns when all are done. The cost is two cache-line exchanges
  // while the workers spin (about 100 microseconds after the last run), a wake-up once they have parked.
  template <class Task>
  void run(const Task& task) {
    run_erased([](const void* t, int thread, int threads) { (*static_cast<const Task*>(t))(thread, threads); }, &task);
  }

  // Splits [0, count) into threads() contiguous parts of whole `unit`s, always the same ones, and calls task(begin, end) on
  // each.
  template <class Task>
  void split(std::int64_t count, std::int64_t unit, const Task& task) {
    run([&](int thread, int threads) {
      const auto [begin, end] = part(count, unit, thread, threads);
      if (begin < end) task(begin, end);
    });
  }

  struct Range {
    std::int64_t begin, end;
  };
  static Range part(std::int64_t count, std::int64_t unit, int thread, int threads);

 private:
  using Call = void (*)(const void* task, int thread, int threads);
  void run_erased(Call call, const void* task);
  void work(int thread);
  bool wait_for_phase(std::uint32_t seen);

  std::vector<std::thread> workers_;
  Call call_ = nullptr;
  const void* task_ = nullptr;
  alignas(64) std::atomic<std::uint32_t> phase_{0};   // one more for every run
  alignas(64) std::atomic<std::int32_t> running_{0};  // workers that have not finished the current run
  alignas(64) std::atomic<std::int32_t> parked_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace bitnet
