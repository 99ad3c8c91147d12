// Fork-join over a fixed set of threads: spinning for about 100 microseconds, then parking on a condition variable.
#include "common/thread_pool.h"

#include <chrono>

namespace bitnet {
namespace {

constexpr auto spin_time = std::chrono::microseconds(100);

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins until `ready()` or until spin_time has passed; the clock is read only every so often.
template <class Ready>
bool spin_until(const Ready& ready) {
  const auto end = std::chrono::steady_clock::now() + spin_time;
  do {
    for (int i = 0; i < 200; ++i) {
      if (ready()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

ThreadPool::Range ThreadPool::part(std::int64_t count, std::int64_t unit, int thread, int threads) {
  const std::int64_t units = (count + unit - 1) / unit;
  const auto at = [&](int t) {
    const std::int64_t position = units * t / threads * unit;
    return position < count ? position : count;
  };
  return {at(thread), at(thread + 1)};
}

void ThreadPool::run_erased(Call call, const void* task) {
  const int threads = this->threads();
  if (threads == 1) return call(task, 0, 1);
  call_ = call, task_ = task;
  running_.store(threads - 1, std::memory_order_relaxed);
  // Sequentially consistent against `parked_`: either a worker about to park sees the new phase, or we see it parked.
  phase_.fetch_add(1, std::memory_order_seq_cst);
  if (parked_.load(std::memory_order_seq_cst) > 0) {
    {
      const std::lock_guard lock(mutex_);
    }
    wake_.notify_all();
  }
  call(task, 0, threads);
  const auto done = [this] { return running_.load(std::memory_order_acquire) == 0; };
  while (!spin_until(done)) std::this_thread::yield();
}

bool ThreadPool::wait_for_phase(std::uint32_t seen) {
  const auto ready = [&] { return phase_.load(std::memory_order_acquire) != seen || stop_.load(std::memory_order_relaxed); };
  if (!spin_until(ready)) {
    std::unique_lock lock(mutex_);
    parked_.fetch_add(1, std::memory_order_seq_cst);
    wake_.wait(lock, [&] { return phase_.load(std::memory_order_seq_cst) != seen || stop_; });
    parked_.fetch_sub(1, std::memory_order_seq_cst);
  }
  return phase_.load(std::memory_order_acquire) != seen;
}

void ThreadPool::work(int thread) {
  std::uint32_t seen = 0;
  while (wait_for_phase(seen)) {
    ++seen;
    call_(task_, thread, threads());
    running_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace bitnet
