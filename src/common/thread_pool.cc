// Fork-join over a fixed set of threads: spinning for about 100 microseconds, then parking in the kernel.
#include "common/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <utility>

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

// Returns once `value` is not `old`. Parking, unlike yielding, lets the scheduler run the thread soon after it is woken.
std::uint32_t wait_for_change(const std::atomic<std::uint32_t>& value, std::uint32_t old) {
  const auto changed = [&] { return value.load(std::memory_order_acquire) != old; };
  if (!spin_until(changed)) value.wait(old, std::memory_order_acquire);
  return value.load(std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int threads) : parts_(static_cast<std::size_t>(threads)) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  phase_.fetch_add(1, std::memory_order_seq_cst);
  phase_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

ThreadPool::Range ThreadPool::part(std::int64_t count, std::int64_t unit, int index, int threads) {
  const std::int64_t units = (count + unit - 1) / unit;
  const auto at = [&](int t) {
    const std::int64_t position = units * t / threads * unit;
    return position < count ? position : count;
  };
  return {at(index), at(index + 1)};
}

// True for one caller per part and phase. A worker that comes late finds its part taken, or a later phase to take it in.
bool ThreadPool::take(int part, std::uint32_t phase) {
  std::uint32_t before = phase - 1;
  std::atomic<std::uint32_t>& taken = parts_[static_cast<std::size_t>(part)].taken;
  return taken.load(std::memory_order_relaxed) == before &&
         taken.compare_exchange_strong(before, phase, std::memory_order_acq_rel, std::memory_order_relaxed);
}

// Half of what is left of the part, at least a unit; all of it where there is nobody to help. Empty at its end. Few pieces,
// since taking one makes the processor wait for what it reads.
ThreadPool::Range ThreadPool::take_piece(int part, std::int64_t end, std::int64_t unit) {
  std::atomic<std::int64_t>& next = parts_[static_cast<std::size_t>(part)].next;
  std::int64_t begin = next.load(std::memory_order_relaxed);
  while (begin < end) {
    const std::int64_t half = (end - begin) / 2 / unit * unit;
    const std::int64_t after = threads() == 1 ? end : std::min(begin + std::max(half, unit), end);
    if (next.compare_exchange_weak(begin, after, std::memory_order_relaxed)) return {begin, after};
  }
  return {end, end};
}

void ThreadPool::run_erased(Call erased, const void* task) {
  const int threads = this->threads();
  if (threads == 1) return erased(task, 0, 1);
  // No worker looks at these: every part of the last phase was taken and is done.
  call_ = erased, task_ = task;
  left_.store(static_cast<std::uint32_t>(threads - 1), std::memory_order_relaxed);
  const std::uint32_t phase = phase_.fetch_add(1, std::memory_order_seq_cst) + 1;
  phase_.notify_all();
  call(0);
  for (int part = 1; part < threads; ++part) {
    if (!take(part, phase)) continue;
    call(part);
    left_.fetch_sub(1, std::memory_order_relaxed);
  }
  for (std::uint32_t left = left_.load(std::memory_order_acquire); left != 0;) left = wait_for_change(left_, left);
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void ThreadPool::call(int part) {
  try {
    call_(task_, part, threads());
  } catch (...) {
    const std::lock_guard lock(error_mutex_);
    if (!error_) error_ = std::current_exception();
  }
}

void ThreadPool::work(int thread) {
  for (std::uint32_t seen = 0;;) {
    seen = wait_for_change(phase_, seen);
    if (stop_.load(std::memory_order_relaxed)) return;
    if (!take(thread, seen)) continue;
    call(thread);
    if (left_.fetch_sub(1, std::memory_order_seq_cst) == 1) left_.notify_one();
  }
}

}  // namespace bitnet
