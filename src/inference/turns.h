// Turns: several threads that each want the processor's cores for a step take them one after the other, in order.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace bitnet {

// A lock that is handed on in the order in which it was asked for: whoever asks again at once stands behind those that wait.
class Turns {
 public:
  void lock() {
    std::unique_lock lock(mutex_);
    const std::uint64_t mine = next_++;
    changed_.wait(lock, [&] { return now_ == mine; });
  }
  void unlock() {
    {
      const std::lock_guard lock(mutex_);
      ++now_;
    }
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t next_ = 0, now_ = 0;
};

}  // namespace bitnet
