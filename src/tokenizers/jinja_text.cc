// Python's string operations over UTF-8.
#include "tokenizers/jinja_text.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "common/utf8.h"
#include "tokenizers/unicode.h"
#include "tokenizers/unicode_tables.h"

namespace bitnet::jinja {
namespace {

constexpr std::size_t npos = std::string_view::npos;
constexpr std::uint64_t slow_pass = 8;  // what a byte costs in work much slower than copying, as searching a set or parsing

// The last character of a non-empty text.
Utf8Char decode_last(std::string_view text) {
  std::size_t begin = text.size() - 1;
  while (begin > 0 && text.size() - begin < 4 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
  const Utf8Char c = utf8_decode(text.substr(begin));
  return begin + c.size == text.size() ? c : Utf8Char{0xfffd, 1, false, false};
}

template <class Member>
std::string_view strip_if(std::string_view text, Side side, const Member& member) {
  while (side != Side::right && !text.empty()) {
    const Utf8Char c = utf8_decode(text);
    if (!member(c.code)) break;
    text.remove_prefix(c.size);
  }
  while (side != Side::left && !text.empty()) {
    const Utf8Char c = decode_last(text);
    if (!member(c.code)) break;
    text.remove_suffix(c.size);
  }
  return text;
}

template <class Append>
std::string map_codes(std::string_view text, const Append& append) {
  std::string out;
  out.reserve(text.size());
  for (; !text.empty(); text.remove_prefix(utf8_decode(text).size)) append(out, utf8_decode(text).code);
  return out;
}

// Upper case is lower case read backwards, where that is one letter; the few letters beside are listed.
char32_t upper_of(char32_t code) {
  if (code < 0x80) return code >= U'a' && code <= U'z' ? code - 32 : code;
  if (code == 0xb5) return 0x39c;   // micro sign
  if (code == 0x131) return U'I';   // dotless i
  if (code == 0x17f) return U'S';   // long s
  if (code == 0x3c2) return 0x3a3;  // final sigma
  static const auto table = [] {
    std::vector<std::pair<char32_t, char32_t>> pairs;
    for (std::size_t i = 0; i < unicode::lower_map_size; ++i) {
      const auto& m = unicode::lower_map[i];
      // Title-case letters and second capitals (sharp s, ohm, kelvin, angstrom) have a lower case that does not lead back.
      const bool back = m.code != 0x1e9e && m.code != 0x2126 && m.code != 0x212a && m.code != 0x212b &&
                        unicode::category(m.code) != unicode::Category::Lt;
      if (m.size == 1 && back) pairs.emplace_back(unicode::scalar_pool[m.place], m.code);
    }
    std::sort(pairs.begin(), pairs.end());
    return pairs;
  }();
  const auto found = std::lower_bound(table.begin(), table.end(), std::pair(code, char32_t{0}));
  return found != table.end() && found->first == code ? found->second : code;
}

bool is_cased(char32_t code) {
  const auto c = unicode::category(code);
  return c == unicode::Category::Lu || c == unicode::Category::Ll || c == unicode::Category::Lt;
}

bool is_line_end(char32_t code) {
  return (code >= 0x0a && code <= 0x0d) || (code >= 0x1c && code <= 0x1e) || code == 0x85 || code == 0x2028 || code == 0x2029;
}

bool has_class(char32_t code, CharClass c) {
  switch (c) {
    case CharClass::alpha:
      return unicode::is_letter(code);
    case CharClass::decimal:
      return unicode::category(code) == unicode::Category::Nd;
    case CharClass::digit:
      return unicode::category(code) == unicode::Category::Nd || code == 0xb2 || code == 0xb3 || code == 0xb9 ||
             code == 0x2070 || (code >= 0x2074 && code <= 0x2079) || (code >= 0x2080 && code <= 0x2089);
    case CharClass::alnum:
      return unicode::is_letter(code) || unicode::is_number(code);
    case CharClass::space:
      return is_space(code);
  }
  return false;
}

// A Python number's text without its underscores; nullopt when one stands where none may.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit_at = [&](std::size_t j) { return j < text.size() && text[j] >= '0' && text[j] <= '9'; };
    if (text[i] != '_')
      out += text[i];
    else if (i == 0 || !digit_at(i - 1) || !digit_at(i + 1))
      return std::nullopt;
  }
  return out;
}

}  // namespace

bool is_space(char32_t code) { return unicode::is_white_space(code) || (code >= 0x1c && code <= 0x1f); }

std::u32string code_points(std::string_view text) {
  std::u32string codes;
  codes.reserve(text.size());
  for (; !text.empty(); text.remove_prefix(utf8_decode(text).size)) codes += utf8_decode(text).code;
  return codes;
}

std::string from_code_points(std::u32string_view codes) {
  std::string text;
  for (const char32_t code : codes) utf8_append(text, code);
  return text;
}

std::int64_t code_point_count(std::string_view text) {
  std::int64_t count = 0;
  for (; !text.empty(); text.remove_prefix(utf8_decode(text).size)) ++count;
  return count;
}

std::string_view strip_space(std::string_view text, Side side) { return strip_if(text, side, is_space); }

std::string_view strip(Budget& budget, std::string_view text, Side side, std::string_view characters) {
  budget.bytes(slow_pass * (text.size() + characters.size()));
  std::u32string set = code_points(characters);
  std::sort(set.begin(), set.end());
  return strip_if(text, side, [&](char32_t code) { return std::binary_search(set.begin(), set.end(), code); });
}

std::size_t find(Budget& budget, std::string_view text, std::string_view needle, std::size_t from) {
  if (from > text.size()) return npos;
  if (needle.empty()) return from;
  std::size_t at = from, compared = 0;
  while (at != npos && text.size() - at >= needle.size()) {
    at = text.find(needle[0], at);
    if (at == npos || text.size() - at < needle.size()) break;
    const auto differ = std::mismatch(needle.begin(), needle.end(), text.begin() + static_cast<std::ptrdiff_t>(at)).first;
    compared += static_cast<std::size_t>(differ - needle.begin());
    if (differ == needle.end()) break;
    if (compared > 4096) budget.bytes(std::exchange(compared, 0));
    ++at;
  }
  const bool found = at != npos && text.size() - at >= needle.size();
  budget.bytes(compared + (found ? at : text.size()) - from);
  return found ? at : npos;
}

std::size_t find_last(Budget& budget, std::string_view text, std::string_view needle) {
  if (needle.size() > text.size()) return npos;
  std::size_t compared = 0;
  for (std::size_t at = text.size() - needle.size() + 1; at-- > 0;) {
    const auto differ = std::mismatch(needle.begin(), needle.end(), text.begin() + static_cast<std::ptrdiff_t>(at)).first;
    compared += static_cast<std::size_t>(differ - needle.begin()) + 1;
    if (compared > 4096) budget.bytes(std::exchange(compared, 0));
    if (differ == needle.end()) return at;
  }
  return npos;
}

std::vector<std::string_view> split(Budget& budget, std::string_view text, std::string_view separator, std::int64_t limit) {
  std::vector<std::string_view> parts;
  while (limit < 0 || static_cast<std::int64_t>(parts.size()) < limit) {
    const std::size_t at = find(budget, text, separator);
    if (at == npos) break;
    budget.step();
    parts.push_back(text.substr(0, at));
    text.remove_prefix(at + separator.size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> split_last(Budget& budget, std::string_view text, std::string_view separator,
                                         std::int64_t limit) {
  std::vector<std::string_view> parts;
  while (limit < 0 || static_cast<std::int64_t>(parts.size()) < limit) {
    const std::size_t at = find_last(budget, text, separator);
    if (at == npos) break;
    budget.step();
    parts.push_back(text.substr(at + separator.size()));
    text = text.substr(0, at);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_space(std::string_view text, std::int64_t limit) {
  std::vector<std::string_view> parts;
  text = strip_space(text, Side::left);
  while (!text.empty()) {
    if (limit >= 0 && static_cast<std::int64_t>(parts.size()) == limit) {
      parts.push_back(text);
      break;
    }
    std::string_view rest = text;
    while (!rest.empty() && !is_space(utf8_decode(rest).code)) rest.remove_prefix(utf8_decode(rest).size);
    parts.push_back(text.substr(0, text.size() - rest.size()));
    text = strip_space(rest, Side::left);
  }
  return parts;
}

std::vector<std::string_view> split_space_last(std::string_view text, std::int64_t limit) {
  std::vector<std::string_view> parts;
  text = strip_space(text, Side::right);
  while (!text.empty()) {
    if (limit >= 0 && static_cast<std::int64_t>(parts.size()) == limit) {
      parts.push_back(text);
      break;
    }
    std::string_view head = text;
    while (!head.empty() && !is_space(decode_last(head).code)) head.remove_suffix(decode_last(head).size);
    parts.push_back(text.substr(head.size()));
    text = strip_space(head, Side::right);
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    std::string_view rest = text;
    while (!rest.empty() && !is_line_end(utf8_decode(rest).code)) rest.remove_prefix(utf8_decode(rest).size);
    const std::size_t length = text.size() - rest.size();
    const std::size_t end = rest.empty() ? 0 : rest.starts_with("\r\n") ? 2 : utf8_decode(rest).size;
    lines.push_back(text.substr(0, length + (keep_ends ? end : 0)));
    text.remove_prefix(length + end);
  }
  return lines;
}

std::string replace(Budget& budget, std::string_view text, std::string_view from, std::string_view to, std::int64_t limit) {
  std::string out;
  const auto put = [&](std::string_view part) {
    budget.longer_string(out.size(), part.size());
    out += part;
  };
  for (std::int64_t count = 0; limit < 0 || count < limit; ++count) {
    budget.step();
    if (from.empty()) {  // before every character and at the end
      put(to);
      if (text.empty()) return out;
      put(text.substr(0, utf8_decode(text).size));
      text.remove_prefix(utf8_decode(text).size);
      continue;
    }
    const std::size_t at = find(budget, text, from);
    if (at == npos) break;
    put(text.substr(0, at));
    put(to);
    text.remove_prefix(at + from.size());
  }
  put(text);
  return out;
}

std::string lower(std::string_view text) { return map_codes(text, unicode::append_lower); }
std::string upper(std::string_view text) {
  return map_codes(text, [](std::string& out, char32_t code) { utf8_append(out, upper_of(code)); });
}

std::string capitalize(std::string_view text) {
  if (text.empty()) return {};
  const std::size_t first = utf8_decode(text).size;
  return upper(text.substr(0, first)) + lower(text.substr(first));
}

std::string title(std::string_view text) {
  bool in_word = false;
  return map_codes(text, [&](std::string& out, char32_t code) {
    if (in_word)
      unicode::append_lower(out, code);
    else
      utf8_append(out, upper_of(code));
    in_word = is_cased(code);
  });
}

std::string title_words(std::string_view text) {
  bool in_word = false;
  return map_codes(text, [&](std::string& out, char32_t code) {
    if (in_word)
      unicode::append_lower(out, code);
    else
      utf8_append(out, upper_of(code));
    in_word = !(is_space(code) || code == U'-' || code == U'(' || code == U'{' || code == U'[' || code == U'<');
  });
}

bool all_are(std::string_view text, CharClass c) {
  if (text.empty()) return false;
  for (; !text.empty(); text.remove_prefix(utf8_decode(text).size)) {
    if (!has_class(utf8_decode(text).code, c)) return false;
  }
  return true;
}

bool is_lower(std::string_view text) {
  bool cased = false;
  for (; !text.empty(); text.remove_prefix(utf8_decode(text).size)) {
    const auto c = unicode::category(utf8_decode(text).code);
    if (c == unicode::Category::Lu || c == unicode::Category::Lt) return false;
    cased = cased || c == unicode::Category::Ll;
  }
  return cased;
}

bool is_upper(std::string_view text) {
  bool cased = false;
  for (; !text.empty(); text.remove_prefix(utf8_decode(text).size)) {
    const auto c = unicode::category(utf8_decode(text).code);
    if (c == unicode::Category::Ll || c == unicode::Category::Lt) return false;
    cased = cased || c == unicode::Category::Lu;
  }
  return cased;
}

std::optional<std::int64_t> parse_integer(Budget& budget, std::string_view text) {
  budget.bytes(slow_pass * text.size());
  const auto digits = without_underscores(strip_space(text));
  if (!digits) return std::nullopt;
  std::string_view rest = *digits;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest.empty() || rest.find_first_not_of("0123456789") != npos) return std::nullopt;
  std::int64_t value = 0;
  for (const char c : rest) {
    const int digit = negative ? '0' - c : c - '0';
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digit, &value))
      template_error("a number does not fit 64 bits");
  }
  return value;
}

std::optional<double> parse_real(Budget& budget, std::string_view text) {
  budget.bytes(slow_pass * text.size());
  const auto clean = without_underscores(strip_space(text));
  if (!clean || clean->empty()) return std::nullopt;
  const std::string name = lower(clean->find_first_of("+-") == 0 ? clean->substr(1) : *clean);
  const double sign = clean->front() == '-' ? -1 : 1;
  if (name == "inf" || name == "infinity") return sign * std::numeric_limits<double>::infinity();
  if (name == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (clean->find_first_not_of("0123456789.eE+-") != npos) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(clean->c_str(), &end);
  return *end == '\0' ? std::optional(value) : std::nullopt;
}

}  // namespace bitnet::jinja
