// Parses kernel_config.ini, strictly: a wrong tiling would read wrong weights.
#include "quantization/kernel_config.h"

#include <algorithm>
#include <charconv>

#include "common/error.h"
#include "common/mapped_file.h"

namespace bitnet {
namespace {

constexpr std::size_t most_sections = 256, most_bytes = 64 << 10;
constexpr std::int64_t largest_number = 1 << 20;

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// What the lines of a section have said so far; 0 is nothing.
struct Numbers {
  std::int64_t m = 0, k = 0, bm = 0, bk = 0, bmm = 0;
  std::int64_t line = 0;  // of the section's name

  std::int64_t* find(std::string_view key) {
    return key == "m" ? &m : key == "k" ? &k : key == "bm" ? &bm : key == "bk" ? &bk : key == "bmm" ? &bmm : nullptr;
  }
};

struct Parser {
  std::string_view file;
  std::int64_t line = 0;
  std::vector<Numbers> sections{};

  [[noreturn]] void bad(std::int64_t at, const std::string& fact) const {
    fail(ErrorKind::bad_model, "{}: line {}: {}", printable(file, 512), at, fact);
  }

  void read_line(std::string_view text) {
    ++line;
    text = trimmed(text);
    if (text.empty() || text.front() == '#' || text.front() == ';') return;
    if (text.front() == '[') {
      if (text.size() < 3 || text.back() != ']') bad(line, fmt::format("'{}' is no section's name", printable(text)));
      if (sections.size() == most_sections) bad(line, fmt::format("more than {} sections", most_sections));
      sections.push_back({.line = line});
      return;
    }
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos)
      bad(line, fmt::format("'{}' is neither [SECTION] nor NAME = NUMBER", printable(text)));
    read_number(trimmed(text.substr(0, equals)), trimmed(text.substr(equals + 1)));
  }

  void read_number(std::string_view key, std::string_view value) {
    if (sections.empty()) bad(line, fmt::format("'{}' stands before the first section", printable(key)));
    std::int64_t* number = sections.back().find(key);
    if (number == nullptr) bad(line, fmt::format("'{}' is none of m, k, bm, bk, bmm", printable(key)));
    if (*number != 0) bad(line, fmt::format("'{}' stands twice in a section", key));
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), *number);
    if (error != std::errc() || end != value.data() + value.size() || *number < 1 || *number > largest_number) {
      bad(line, fmt::format("{} is '{}', it must be a whole number from 1 to {}", key, printable(value), largest_number));
    }
  }
};

}  // namespace

KernelConfig KernelConfig::read(std::string_view text, std::string_view file) {
  Parser parser{.file = file};
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    parser.read_line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  KernelConfig config;
  for (Numbers& n : parser.sections) {
    for (const std::string_view key : {"m", "k", "bm", "bk", "bmm"}) {
      if (*n.find(key) == 0) parser.bad(n.line, fmt::format("the section has no {}", key));
    }
    if (config.find(n.m, n.k) != Tiling{}) parser.bad(n.line, fmt::format("a second section for m = {} and k = {}", n.m, n.k));
    config.sections_.push_back({n.m, n.k, {n.bm, n.bk, n.bmm}});
  }
  return config;
}

KernelConfig KernelConfig::open(const std::string& path) {
  const MappedFile file = MappedFile::open(path);
  const auto bytes = file.bytes();
  if (bytes.size() > most_bytes) {
    fail(ErrorKind::bad_model, "{}: has {} bytes, a kernel configuration has at most {}", printable(path, 512), bytes.size(),
         most_bytes);
  }
  return read({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
}

std::string KernelConfig::path_beside(std::string_view model) {
  return std::string(model.substr(0, model.rfind('/') + 1)) + "kernel_config.ini";
}

Tiling KernelConfig::find(std::int64_t rows, std::int64_t cols) const {
  for (const Section& section : sections_) {
    if (section.rows == rows && section.cols == cols) return section.tiling;
  }
  return {};
}

}  // namespace bitnet
