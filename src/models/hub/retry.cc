// Waits between attempts.
#include "models/hub/retry.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

namespace bitnet::hub {
namespace {

constexpr double first_wait = 0.5, longest_wait = 30, longest_asked = 120;  // seconds
constexpr int retries_unreached = 2;

}  // namespace

void wait_seconds(double seconds, const std::atomic<bool>* cancel) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  while (true) {
    if (cancel != nullptr && *cancel) fail(ErrorKind::cancelled, "interrupted");
    const auto left = end - Clock::now();
    if (left <= Clock::duration::zero()) return;
    std::this_thread::sleep_for(std::min<Clock::duration>(left, std::chrono::milliseconds(50)));
  }
}

void Retry::wait(const TransientError& error) {
  connected_ = connected_ || error.connected();
  const int allowed = connected_ ? retries_ : std::min(retries_, retries_unreached);
  if (error.retry_after() > longest_asked) {
    fail(ErrorKind::io, "{}, and asks to wait {:.0f} s: try again then", error.what(), error.retry_after());
  }
  if (failures_ >= allowed) throw error;
  const double wait = std::max(std::min(first_wait * std::exp2(failures_), longest_wait), error.retry_after());
  ++failures_;
  wait_seconds(wait, cancel_);
}

}  // namespace bitnet::hub
