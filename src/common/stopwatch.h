// Stopwatch: how many seconds have passed since it was made?
#pragma once

#include <chrono>

namespace bitnet {

// By the clock that no change of the date moves.
class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace bitnet
