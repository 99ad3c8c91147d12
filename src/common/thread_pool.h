// ThreadPool: runs one function once for each of a fixed number of parts; workers spin for the next phase, then park.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace bitnet {

// One part per thread; the caller is thread 0, so a pool of one has no workers. A worker that the machine does not run leaves
// its part to the caller: other programs slow the pool down in proportion, they do not stop it. One run() at a time.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // at least 1
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls task(part, threads()) once for every part from 0 and returns when all are done: part i on thread i or on the caller,
  // so that parts must not wait for each other. Rethrows the first exception of a part after the last one has ended. The cost
  // is two cache-line exchanges while the workers spin (about 100 microseconds after the last run), a wake-up once they have
  // parked.
  template <class Task>
  void run(const Task& task) {
    run_erased([](const void* t, int part, int threads) { (*static_cast<const Task*>(t))(part, threads); }, &task);
  }

  // Splits [0, count) into threads() contiguous parts of whole `unit`s, always the same ones, and calls task(begin, end) on
  // each.
  template <class Task>
  void split(std::int64_t count, std::int64_t unit, const Task& task) {
    run([&](int index, int threads) {
      const auto [begin, end] = part(count, unit, index, threads);
      if (begin < end) task(begin, end);
    });
  }

  // Calls task(begin, end, part) on pieces of whole `unit`s that together are [0, count). Each thread takes those of its part
  // of split() first, ever smaller ones, and then helps some others with theirs, so that none waits long for a thread that
  // memory or the machine serves worse. Of one part there is one call at a time. For results that do not depend on who does
  // what.
  template <class Task>
  void balance(std::int64_t count, std::int64_t unit, const Task& task) {
    for (int i = 0; i < threads(); ++i) start_part(i, part(count, unit, i, threads()).begin);
    run([&](int self, int threads) {
      for (int i = 0; i < threads && i <= most_helped; ++i) {
        const int from = (self + i) % threads;
        const std::int64_t end = part(count, unit, from, threads).end;
        for (Range piece; (piece = take_piece(from, end, unit)).begin < piece.end;) task(piece.begin, piece.end, self);
      }
    });
  }

  struct Range {
    std::int64_t begin, end;
  };
  static Range part(std::int64_t count, std::int64_t unit, int index, int threads);

 private:
  static constexpr int most_helped = 7;  // looking at the parts of many threads would take longer than it saves

  using Call = void (*)(const void* task, int part, int threads);
  // The lines are apart, since each belongs to a worker.
  struct alignas(64) Part {
    std::atomic<std::uint32_t> taken{0};  // the last phase in which somebody took the part
    std::atomic<std::int64_t> next{0};    // of balance(): where the part's next piece begins
  };

  void run_erased(Call erased, const void* task);
  void call(int part);
  void work(int thread);
  bool take(int part, std::uint32_t phase);
  void start_part(int part, std::int64_t begin) {
    parts_[static_cast<std::size_t>(part)].next.store(begin, std::memory_order_relaxed);
  }
  Range take_piece(int part, std::int64_t end, std::int64_t unit);

  std::vector<Part> parts_;
  std::vector<std::thread> workers_;
  Call call_ = nullptr;
  const void* task_ = nullptr;
  std::mutex error_mutex_;
  std::exception_ptr error_;                         // the first of the current run
  alignas(64) std::atomic<std::uint32_t> phase_{0};  // one more for every run, and for the end
  alignas(64) std::atomic<std::uint32_t> left_{0};   // parts of the current run that workers have taken or may take
  alignas(64) std::atomic<bool> stop_{false};
};

}  // namespace bitnet
