// A byte trie over the special tokens.
#include "tokenizers/special_tokens.h"

#include "common/utf8.h"
#include "tokenizers/unicode.h"

namespace bitnet {
namespace {

constexpr std::size_t max_length = 256;  // bounds the work per byte of text

std::size_t white_space_behind(std::string_view text) {
  std::size_t size = 0;
  while (size < text.size()) {
    const Utf8Char c = utf8_decode(text.substr(size));
    if (!c.valid || !unicode::is_white_space(c.code)) break;
    size += c.size;
  }
  return size;
}

// The last character of a text that is not empty; not valid where the text ends in a broken one.
Utf8Char last_character(std::string_view text) {
  std::size_t start = text.size() - 1;
  while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xc0) == 0x80 && text.size() - start < 4) --start;
  Utf8Char c = utf8_decode(text.substr(start));
  c.valid = c.valid && start + c.size == text.size();
  return c;
}

std::size_t white_space_before(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    const Utf8Char c = last_character(text.substr(0, end));
    if (!c.valid || !unicode::is_white_space(c.code)) break;
    end -= c.size;
  }
  return text.size() - end;
}

// \w of Unicode-aware regular expressions: Alphabetic, marks, decimal digits, connectors, joiners.
bool is_word(char32_t code) {
  using unicode::Category;
  if (unicode::is_letter(code) || unicode::is_mark(code)) return true;
  const Category c = unicode::category(code);
  if (c == Category::Nd || c == Category::Nl || c == Category::Pc) return true;
  const bool circled = (code >= 0x24b6 && code <= 0x24e9) || (code >= 0x1f130 && code <= 0x1f149) ||
                       (code >= 0x1f150 && code <= 0x1f169) || (code >= 0x1f170 && code <= 0x1f189);
  return circled || code == 0x200c || code == 0x200d;
}

bool stands_alone(std::string_view before, std::string_view behind) {
  const bool word_before = !before.empty() && last_character(before).valid && is_word(last_character(before).code);
  return !word_before && (behind.empty() || !is_word(utf8_decode(behind).code));
}

}  // namespace

SpecialTokens::SpecialTokens(std::vector<SpecialToken> tokens) : tokens_(std::move(tokens)), ends_(1, -1) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const std::string& text = tokens_[i].text;
    if (text.empty() || text.size() > max_length) continue;
    std::uint32_t node = 0;
    for (const char c : text) {
      const auto [edge, added] = edges_.try_emplace(std::uint64_t{node} * 256 + static_cast<unsigned char>(c),
                                                    static_cast<std::uint32_t>(ends_.size()));
      if (added) ends_.push_back(-1);
      node = edge->second;
    }
    if (ends_[node] < 0) ends_[node] = static_cast<std::int32_t>(i);
    first_.set(static_cast<unsigned char>(text[0]));
  }
}

const SpecialToken* SpecialTokens::match(std::string_view text, bool parse_control) const {
  const SpecialToken* longest = nullptr;
  std::uint32_t node = 0;
  for (const char c : text) {
    const auto edge = edges_.find(std::uint64_t{node} * 256 + static_cast<unsigned char>(c));
    if (edge == edges_.end()) break;
    node = edge->second;
    if (ends_[node] < 0) continue;
    const SpecialToken& token = tokens_[static_cast<std::size_t>(ends_[node])];
    if (parse_control || !token.control) longest = &token;
  }
  return longest;
}

std::vector<SpecialTokens::Segment> SpecialTokens::split(std::string_view text, bool parse_control) const {
  std::vector<Segment> segments;
  std::size_t start = 0, at = 0;
  while (at < text.size()) {
    const SpecialToken* token = first_[static_cast<unsigned char>(text[at])] ? match(text.substr(at), parse_control) : nullptr;
    if (token == nullptr) {
      ++at;
      continue;
    }
    const std::size_t end = at + token->text.size();
    if (token->single_word && !stands_alone(text.substr(0, at), text.substr(end))) {
      at = end;
      continue;
    }
    std::string_view before = text.substr(start, at - start);
    if (token->strip_left) before.remove_suffix(white_space_before(before));
    if (!before.empty()) segments.push_back({before, -1});
    segments.push_back({text.substr(at, token->text.size()), token->id});
    at = end;
    if (token->strip_right) at += white_space_behind(text.substr(at));
    start = at;
  }
  if (start < text.size()) segments.push_back({text.substr(start), -1});
  return segments;
}

}  // namespace bitnet
