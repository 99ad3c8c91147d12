// The process-wide log sink.
#include "common/log.h"

#include <memory>
#include <mutex>

namespace bitnet {
namespace {

std::mutex sink_mutex;
std::shared_ptr<const LogSink> current_sink;

}  // namespace

void set_log_sink(LogSink sink) {
  const std::lock_guard lock(sink_mutex);
  current_sink = sink ? std::make_shared<const LogSink>(std::move(sink)) : nullptr;
}

void log_line(LogLevel level, const std::string& line) {
  std::shared_ptr<const LogSink> sink;
  {
    const std::lock_guard lock(sink_mutex);
    sink = current_sink;
  }
  if (sink) (*sink)(level, line);
}

}  // namespace bitnet
