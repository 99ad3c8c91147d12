// Splitting, stripping, replacing and letter case.
#include "tokenizers/jinja_text.h"

#include <algorithm>
#include <map>

#include "common/utf8.h"
#include "tokenizers/jinja_interpreter.h"
#include "tokenizers/unicode.h"

namespace bitnet::jinja {
namespace {

bool is_line_end(char32_t c) {
  return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
}
bool is_python_space(char32_t c) { return unicode::is_white_space(c) || (c >= 0x1c && c <= 0x1f); }

// The upper case of a letter: whatever has it as its lower case; built once from the lower-case table.
char32_t upper_code(char32_t code) {
  static const auto table = [] {
    std::map<char32_t, char32_t> uppers;
    for (char32_t c = 0; c < 0x1e944; ++c) {
      if (unicode::category(c) != unicode::Category::Lu) continue;
      std::string low;
      unicode::append_lower(low, c);
      const Utf8Char l = utf8_decode(low);
      if (l.size == low.size()) uppers.try_emplace(l.code, c);
    }
    return uppers;
  }();
  const auto found = table.find(code);
  return found == table.end() ? code : found->second;
}

void append_upper(std::string& out, char32_t code) {
  if (code == 0xdf)
    out += "SS";
  else
    utf8_append(out, upper_code(code));
}

}  // namespace

std::string strip(const std::string& text, const std::string* chars, bool left, bool right) {
  const std::u32string codes = code_points(text), set = chars == nullptr ? std::u32string() : code_points(*chars);
  const auto strips = [&](char32_t c) { return chars == nullptr ? is_python_space(c) : set.find(c) != std::u32string::npos; };
  std::size_t begin = 0, end = codes.size();
  while (left && begin < end && strips(codes[begin])) ++begin;
  while (right && end > begin && strips(codes[end - 1])) --end;
  return from_code_points(std::u32string_view(codes).substr(begin, end - begin));
}

std::vector<std::string> split_white_space(const std::string& text, std::int64_t most, bool from_right) {
  std::u32string codes = code_points(text);
  if (from_right) std::reverse(codes.begin(), codes.end());
  std::vector<std::u32string> parts;
  std::size_t at = 0;
  while (true) {
    while (at < codes.size() && is_python_space(codes[at])) ++at;
    if (at == codes.size()) break;
    if (static_cast<std::int64_t>(parts.size()) == most) {
      std::size_t end = codes.size();
      while (is_python_space(codes[end - 1])) --end;
      parts.push_back(codes.substr(at, end - at));
      break;
    }
    const std::size_t start = at;
    while (at < codes.size() && !is_python_space(codes[at])) ++at;
    parts.push_back(codes.substr(start, at - start));
  }
  std::vector<std::string> out;
  for (std::u32string& part : parts) {
    if (from_right) std::reverse(part.begin(), part.end());
    out.push_back(from_code_points(part));
  }
  if (from_right) std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string> split_by(const std::string& text, const std::string& separator, std::int64_t most, bool from_right) {
  std::vector<std::string> parts;
  if (from_right) {
    std::size_t end = text.size();
    while (static_cast<std::int64_t>(parts.size()) < most && end >= separator.size()) {
      const std::size_t at = text.rfind(separator, end - separator.size());
      if (at == std::string::npos) break;
      parts.push_back(text.substr(at + separator.size(), end - at - separator.size()));
      end = at;
    }
    parts.push_back(text.substr(0, end));
    std::reverse(parts.begin(), parts.end());
    return parts;
  }
  std::size_t start = 0;
  while (static_cast<std::int64_t>(parts.size()) < most) {
    const std::size_t at = text.find(separator, start);
    if (at == std::string::npos) break;
    parts.push_back(text.substr(start, at - start));
    start = at + separator.size();
  }
  parts.push_back(text.substr(start));
  return parts;
}

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::string line;
  const std::u32string codes = code_points(text);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    if (!is_line_end(codes[i])) {
      utf8_append(line, codes[i]);
      continue;
    }
    if (codes[i] == U'\r' && i + 1 < codes.size() && codes[i + 1] == U'\n') ++i;
    lines.push_back(std::exchange(line, {}));
  }
  if (!line.empty()) lines.push_back(line);
  return lines;
}

std::string replace(const std::string& text, const std::string& from, const std::string& to, std::int64_t most,
                    std::size_t max_bytes) {
  std::string out;
  std::size_t start = 0;
  for (std::int64_t done = 0; most < 0 || done < most; ++done) {
    if (out.size() > max_bytes) return out;
    std::size_t at = start;
    if (from.empty()) {  // before every character and at the end
      out += to;
      if (start >= text.size()) return out;
      const std::size_t size = utf8_decode(std::string_view(text).substr(start)).size;
      out += text.substr(start, size);
      start += size;
      continue;
    }
    at = text.find(from, start);
    if (at == std::string::npos) break;
    out += text.substr(start, at - start);
    out += to;
    start = at + from.size();
  }
  return out + text.substr(std::min(start, text.size()));
}

std::string upper(const std::string& text) {
  std::string out;
  for (const char32_t c : code_points(text)) append_upper(out, c);
  return out;
}

std::string lower(const std::string& text) {
  std::string out;
  for (const char32_t c : code_points(text)) unicode::append_lower(out, c);
  return out;
}

std::string title(const std::string& text) {
  std::string out;
  bool inside = false;
  for (const char32_t c : code_points(text)) {
    if (inside)
      unicode::append_lower(out, c);
    else
      append_upper(out, c);
    inside = unicode::is_letter(c);
  }
  return out;
}

std::string capitalize(const std::string& text) {
  const std::u32string codes = code_points(text);
  std::string out;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    if (i == 0)
      append_upper(out, codes[i]);
    else
      unicode::append_lower(out, codes[i]);
  }
  return out;
}

}  // namespace bitnet::jinja
