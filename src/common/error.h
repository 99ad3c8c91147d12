// Error: the one exception type of the library; each face translates its kind once (exit code, HTTP status, C status).
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>

namespace bitnet {

enum class ErrorKind {
  runtime,          // anything without a better name
  usage,            // the caller's argument is wrong
  not_found,        // no such model or file
  bad_model,        // the file breaks its format's rules
  too_big,          // does not fit memory, context or a limit
  io,               // reading or writing failed
  unsupported_cpu,  // the instruction set asked for is not there
  unsupported,      // well-formed, but this build cannot do it
  cancelled,
};

// `what()` is one line of UTF-8 without control bytes: it names the file or field, the place, the fact and the bound.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

template <class... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

// Untrusted text made safe for one line of a message: control bytes and broken UTF-8 as \xNN, cut to `limit` bytes of input.
std::string printable(std::string_view text, std::size_t limit = 96);

}  // namespace bitnet
