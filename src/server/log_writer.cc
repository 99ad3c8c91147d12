// The queue between those who log and the thread that writes.
#include "server/log_writer.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

namespace bitnet::server {
namespace {

constexpr std::size_t most_lines = 4096;

std::string now_text() {
  timespec now = {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  std::tm utc = {};
  ::gmtime_r(&now.tv_sec, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour,
                     utc.tm_min, utc.tm_sec, now.tv_nsec / 1000000);
}

// False when nobody reads any more.
bool write_all(int descriptor, std::string_view line) {
  while (!line.empty()) {
    const ssize_t written = ::write(descriptor, line.data(), line.size());
    if (written > 0) line.remove_prefix(static_cast<std::size_t>(written));
    if (written >= 0 || errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
    pollfd wait{descriptor, POLLOUT, 0};
    ::poll(&wait, 1, 1000);
  }
  return true;
}

}  // namespace

// Outlives the writer where a write never returns.
struct LogWriter::State {
  explicit State(int d, LogLevel l) : descriptor(d), level(l) {}

  const int descriptor;
  std::atomic<LogLevel> level;
  std::mutex mutex;  // of what follows
  std::condition_variable news, written;
  std::deque<std::string> lines;
  std::uint64_t dropped = 0;
  bool ending = false, writing = false;

  void run() {
    std::unique_lock lock(mutex);
    while (true) {
      news.wait(lock, [this] { return ending || !lines.empty(); });
      if (lines.empty()) return;
      const std::string line = std::move(lines.front());
      lines.pop_front();
      writing = true;
      lock.unlock();
      write_all(descriptor, line);
      lock.lock();
      writing = false;
      if (lines.empty()) written.notify_all();
    }
  }
};

LogWriter::LogWriter(int descriptor, LogFormat format, LogLevel level)
    : state_(std::make_shared<State>(descriptor, level)), format_(format) {
  std::thread([state = state_] { state->run(); }).detach();
}

LogWriter::~LogWriter() {
  std::unique_lock lock(state_->mutex);
  state_->written.wait_for(lock, std::chrono::seconds(1), [this] { return state_->lines.empty() && !state_->writing; });
  state_->ending = true;
  state_->news.notify_all();
}

void LogWriter::set_level(LogLevel level) { state_->level = level; }
bool LogWriter::takes(LogLevel level) const { return level >= state_->level.load(); }

void LogWriter::write(LogLevel level, std::string_view message) { write(level, message, Json::object()); }

void LogWriter::write(LogLevel level, std::string_view message, const Json& fields) {
  if (!takes(level)) return;
  if (format_ == LogFormat::text) return put(fmt::format("bitnet: {}\n", message));
  Json line = {{"ts", now_text()}, {"level", text(level)}, {"message", message}};
  line.update(fields);
  put(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

void LogWriter::put(std::string line) {
  const std::lock_guard lock(state_->mutex);
  if (state_->lines.size() >= most_lines) {
    ++state_->dropped;
    return;
  }
  if (state_->dropped > 0) {
    const std::string fact = fmt::format("{} lines of the log were left out: they were not taken fast enough", state_->dropped);
    state_->dropped = 0;
    state_->lines.push_back(format_ == LogFormat::text
                                ? fmt::format("bitnet: {}\n", fact)
                                : Json{{"ts", now_text()}, {"level", "warning"}, {"message", fact}}.dump() + "\n");
  }
  state_->lines.push_back(std::move(line));
  state_->news.notify_one();
}

const char* text(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    default:
      return "error";
  }
}

}  // namespace bitnet::server
