// Logging: the library hands lines to a sink the face sets; by default nothing is printed.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>

namespace bitnet {

enum class LogLevel { debug, info, warning, error };

// Replaces the sink for the whole process; safe to call from any thread, the sink may be called from any thread.
using LogSink = std::function<void(LogLevel level, const std::string& line)>;
void set_log_sink(LogSink sink);
void log_line(LogLevel level, const std::string& line);

template <class... Args>
void log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  log_line(level, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace bitnet
