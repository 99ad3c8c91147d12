// Retry: how often and after what wait a failed request is tried again.
#pragma once

#include <atomic>

#include "models/hub/http.h"

namespace bitnet::hub {

// Waits 0.5, 1, 2, 4, ... s, at most 30, or as long as the server asks. Not thread safe.
class Retry {
 public:
  Retry(int retries, const std::atomic<bool>* cancel) : retries_(retries), cancel_(cancel) {}

  // Waits before the next attempt. Rethrows `error` when there were enough, or when the server asks for more than two minutes;
  // a server that was never reached is tried three times at most. Throws Error{cancelled}.
  void wait(const TransientError& error);
  // Something came of the last attempt: counting begins anew.
  void progress() { failures_ = 0; }

 private:
  int retries_;
  const std::atomic<bool>* cancel_;
  int failures_ = 0;
  bool connected_ = false;
};

// Runs `attempt` until it does not throw TransientError.
template <class Attempt>
auto with_retries(int retries, const std::atomic<bool>* cancel, Attempt attempt) {
  Retry retry(retries, cancel);
  while (true) {
    try {
      return attempt();
    } catch (const TransientError& error) {
      retry.wait(error);
    }
  }
}

// Sleeps, in pieces so that `cancel` (may be null) is noticed. Throws Error{cancelled}.
void wait_seconds(double seconds, const std::atomic<bool>* cancel);

}  // namespace bitnet::hub
