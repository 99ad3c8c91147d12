// PatternReader: the characters of a grammar's text one by one, and where in it something is wrong.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "inference/grammar/source.h"

namespace bitnet {

// Keeps a reference to the text. fail() throws Error{usage} as "WHAT, line L, character C: FACT".
class PatternReader {
 public:
  // Throws Error{usage} for a text that is too long or no UTF-8.
  PatternReader(std::string_view text, std::string what);

  bool at_end() const { return at_ == text_.size(); }
  // The next byte, 0 at the end; syntax is ASCII.
  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool starts_with(std::string_view text) const { return text_.substr(at_).starts_with(text); }
  bool take(std::string_view text);  // whether it stood there
  char32_t next();                   // a whole character; not at the end
  // Exactly `digits` hexadecimal digits.
  char32_t hex(int digits);
  // A number up to GrammarLimits::repetition; nullopt when there is no digit.
  std::optional<std::int64_t> count();
  // "{m}", "{m,}" or "{m,n}", at the brace: the bounds, -1 = without end.
  struct Bounds {
    std::int64_t least, most;
  };
  Bounds bounds();

  std::size_t place() const { return at_; }
  std::string_view text_from(std::size_t place) const { return text_.substr(place, at_ - place); }

  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    fail_with(fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  [[noreturn]] void fail_with(const std::string& fact) const;

  std::string_view text_;
  std::string what_;
  std::size_t at_ = 0;
};

}  // namespace bitnet
