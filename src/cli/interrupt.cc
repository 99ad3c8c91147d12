// The SIGINT handler and its flags.
#include "cli/interrupt.h"

#include <unistd.h>
#include <csignal>

#include "cli/exit_code.h"

namespace bitnet::cli {
namespace {

std::atomic<bool> guarded{false}, flag{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may touch nothing else");

void on_interrupt(int) {
  if (!guarded || flag.exchange(true)) _exit(exit_interrupted);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  flag = false;
  guarded = true;
}

InterruptGuard::~InterruptGuard() { guarded = false; }

void install_interrupt_handler() {
  struct sigaction action = {};
  action.sa_handler = on_interrupt;  // no SA_RESTART: a waiting read has to end
  sigaction(SIGINT, &action, nullptr);
}

const std::atomic<bool>& interrupted() { return flag; }
void clear_interrupt() { flag = false; }

void stop_if_interrupted() {
  if (flag) fail(ErrorKind::cancelled, "interrupted");
}

}  // namespace bitnet::cli
