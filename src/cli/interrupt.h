// Ctrl-C: what the first and the second one do.
#pragma once

#include <atomic>

namespace bitnet::cli {

// Without a guard Ctrl-C ends the process with code 130. While one lives, the first sets interrupted(), a second one not yet
// cleared ends the process. Not nestable; one thread.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
};

// Puts the handler in place; once, at the start of main.
void install_interrupt_handler();

const std::atomic<bool>& interrupted();
void clear_interrupt();

// Throws Error{cancelled} when interrupted() is set: for work that has nothing to hand over.
void stop_if_interrupted();

}  // namespace bitnet::cli
