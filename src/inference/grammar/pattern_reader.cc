// Reads grammar texts: characters, escapes' digits, bounds of repetitions.
#include "inference/grammar/pattern_reader.h"

#include <algorithm>
#include <utility>

#include "common/error.h"
#include "common/utf8.h"

namespace bitnet {

PatternReader::PatternReader(std::string_view text, std::string what) : text_(text), what_(std::move(what)) {
  if (text.size() > GrammarLimits::bytes)
    bitnet::fail(ErrorKind::usage, "{}: {} bytes, at most {} are allowed", what_, text.size(), GrammarLimits::bytes);
  for (std::string_view rest = text; !rest.empty();) {
    const Utf8Char c = utf8_decode(rest);
    if (!c.valid) bitnet::fail(ErrorKind::usage, "{}: byte {} is not valid UTF-8", what_, text.size() - rest.size());
    rest.remove_prefix(c.size);
  }
}

bool PatternReader::take(std::string_view text) {
  if (!starts_with(text)) return false;
  at_ += text.size();
  return true;
}

char32_t PatternReader::next() {
  const Utf8Char c = utf8_decode(text_.substr(at_));
  at_ += c.size;
  return c.code;
}

char32_t PatternReader::hex(int digits) {
  char32_t code = 0;
  for (int i = 0; i < digits; ++i, ++at_) {
    const char c = peek();
    const int value = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
    if (value < 0) fail("the escape needs {} hexadecimal digits", digits);
    code = code * 16 + static_cast<char32_t>(value);
  }
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) fail("U+{:04X} is no character", static_cast<std::uint32_t>(code));
  return code;
}

std::optional<std::int64_t> PatternReader::count() {
  if (peek() < '0' || peek() > '9') return std::nullopt;
  std::int64_t number = 0;
  while (peek() >= '0' && peek() <= '9') {
    number = number * 10 + (text_[at_++] - '0');
    if (number > GrammarLimits::repetition) fail("a repetition has more than {} times", GrammarLimits::repetition);
  }
  return number;
}

PatternReader::Bounds PatternReader::bounds() {
  take("{");
  const std::optional<std::int64_t> least = count();
  if (!least) fail("a repetition is {{m}}, {{m,}} or {{m,n}}");
  Bounds found{*least, *least};
  if (take(",")) found.most = count().value_or(-1);
  if (!take("}")) fail("a repetition is {{m}}, {{m,}} or {{m,n}}");
  if (found.most >= 0 && found.most < found.least) fail("a repetition from {} to {} times", found.least, found.most);
  return found;
}

void PatternReader::fail_with(const std::string& fact) const {
  const std::string_view before = text_.substr(0, at_);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const std::string_view in_line = before.substr(before.rfind('\n') + 1);
  const auto column =
      std::count_if(in_line.begin(), in_line.end(), [](char c) { return (static_cast<std::uint8_t>(c) & 0xc0) != 0x80; }) + 1;
  bitnet::fail(ErrorKind::usage, "{}, line {}, character {}: {}", what_, line, column, fact);
}

}  // namespace bitnet
