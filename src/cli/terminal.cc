// Reads and writes the standard streams by descriptor, so that nothing is held back.
#include "cli/terminal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "cli/interrupt.h"
#include "common/error.h"
#include "common/utf8.h"

namespace bitnet::cli {
namespace {

constexpr int patience_ms = 1000;

// Bytes up to the end of `descriptor`; `name` is for messages.
std::string read_all(int descriptor, std::size_t limit, const std::string& name) {
  std::string text;
  std::string part(1 << 16, '\0');
  while (true) {
    const ssize_t count = ::read(descriptor, part.data(), part.size());
    if (count == 0) return text;
    if (count < 0) {
      if (errno == EINTR) {
        stop_if_interrupted();
        continue;
      }
      fail(ErrorKind::io, "{}: cannot read: {}", printable(name, 512), std::strerror(errno));
    }
    text.append(part, 0, static_cast<std::size_t>(count));
    if (text.size() > limit) {
      fail(ErrorKind::too_big, "{}: has more than {} bytes, which is the limit", printable(name, 512), limit);
    }
  }
}

}  // namespace

bool is_terminal(int descriptor) { return isatty(descriptor) == 1; }

bool use_colour(int descriptor) {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return is_terminal(descriptor) && (no_colour == nullptr || *no_colour == '\0') && terminal != nullptr &&
         std::string_view(terminal) != "dumb";
}

void print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(STDOUT_FILENO, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EPIPE) {
      throw OutputClosed{};
    } else if (errno == EAGAIN) {  // a terminal or pipe that somebody else made non-blocking
      pollfd ready = {STDOUT_FILENO, POLLOUT, 0};
      poll(&ready, 1, patience_ms);
    } else if (errno != EINTR) {
      fail(ErrorKind::io, "standard output: cannot write: {}", std::strerror(errno));
    }
  }
}

void print_answer(std::string_view text) {
  if (!is_terminal(STDOUT_FILENO)) return print(text);
  std::string safe;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find_first_of("\n\t"));
    safe += printable(line, line.size());
    if (line.size() < text.size()) safe += text[line.size()];
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  print(safe);
}

void print_aside(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(STDERR_FILENO, text.data(), text.size());
    if (count < 0 && errno != EINTR) return;
    if (count > 0) text.remove_prefix(static_cast<std::size_t>(count));
  }
}

void print_note(std::string_view line) { print_aside(fmt::format("bitnet: {}\n", line)); }

std::string read_standard_input(std::size_t limit) {
  pollfd ready = {STDIN_FILENO, POLLIN, 0};
  if (poll(&ready, 1, patience_ms) == 0) print_note("waiting for standard input to end; use </dev/null if none is meant");
  return read_all(STDIN_FILENO, limit, "standard input");
}

std::string read_text_file(const std::string& path, std::size_t limit) {
  if (path == "-") return read_standard_input(limit);
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    fail(errno == ENOENT || errno == ENOTDIR ? ErrorKind::not_found : ErrorKind::io, "{}: cannot open: {}",
         printable(path, 512), std::strerror(errno));
  }
  struct Closer {
    int descriptor;
    ~Closer() { ::close(descriptor); }
  } closer{descriptor};
  return read_all(descriptor, limit, path);
}

std::string with_valid_utf8(std::string_view text) {
  std::string valid;
  while (!text.empty()) {
    const Utf8Char c = utf8_decode(text);
    utf8_append(valid, c.code);
    text.remove_prefix(c.size);
  }
  return valid;
}

}  // namespace bitnet::cli
