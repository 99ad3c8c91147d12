// LogWriter: lines of a log for people or for programs, written so that a reader who is slow holds up nobody.
#pragma once

#include <memory>
#include <string_view>

#include "common/log.h"
#include "server/api_error.h"

namespace bitnet::server {

enum class LogFormat { text, json };

// A thread of its own writes; what it cannot write soon enough is left out and counted, so that a full pipe never stops the
// server. All members are safe from any thread.
class LogWriter {
 public:
  // Lines below `level` are left out.
  LogWriter(int descriptor, LogFormat format, LogLevel level);
  ~LogWriter();  // what waits is written, for a second at most
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  void set_level(LogLevel level);
  bool takes(LogLevel level) const;
  LogFormat format() const { return format_; }
  // As text "bitnet: MESSAGE"; as JSON one object with ts (RFC 3339, UTC), level and message.
  void write(LogLevel level, std::string_view message);
  // The same, with `fields` behind them; as text the message alone.
  void write(LogLevel level, std::string_view message, const Json& fields);

 private:
  struct State;
  void put(std::string line);

  std::shared_ptr<State> state_;
  LogFormat format_;
};

const char* text(LogLevel level);  // "debug", "info", "warning", "error"

}  // namespace bitnet::server
