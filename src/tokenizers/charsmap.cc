// Walks the double-array trie with every index checked, and applies sentencepiece's rules for spaces.
#include "tokenizers/charsmap.h"

#include <algorithm>

#include "common/error.h"
#include "common/utf8.h"

namespace bitnet {
namespace {

// Bounds on what a crafted file can make of each character of a text. Unicode's longest compatibility mapping has 33 bytes.
constexpr std::size_t max_key = 256, max_replacement = 256;

void check_texts(std::string_view texts) {
  if (texts.empty() || texts.back() != '\0') fail(ErrorKind::bad_model, "tokenizer: the charsmap's texts do not end with NUL");
  for (std::size_t start = 0; start < texts.size();) {
    const std::size_t size = texts.find('\0', start) - start;
    if (size > max_replacement) {
      fail(ErrorKind::bad_model, "tokenizer: the charsmap's text at byte {} has {} bytes, at most {} are allowed", start, size,
           max_replacement);
    }
    start += size + 1;
  }
}

}  // namespace

Charsmap::Charsmap(std::string_view blob) {
  if (blob.empty()) return;
  const auto number = [&](std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 4; i-- > 0;) value = value << 8 | static_cast<unsigned char>(blob[at + i]);
    return value;
  };
  const std::size_t size = blob.size() < 4 ? 0 : number(0);
  if (size == 0 || size % 4 != 0 || size > blob.size() - 4) {
    fail(ErrorKind::bad_model, "tokenizer: the charsmap of {} bytes says its trie has {}", blob.size(), size);
  }
  check_texts(blob.substr(4 + size));
  units_.reserve(size / 4);
  for (std::size_t at = 4; at < 4 + size; at += 4) units_.push_back(number(at));
  texts_ = std::string(blob.substr(4 + size));
}

Charsmap::Match Charsmap::longest(std::string_view text) const {
  Match best{0, {}};
  if (units_.empty()) return best;
  const auto offset = [](std::uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); };
  std::size_t at = offset(units_[0]);
  for (std::size_t i = 0; i < std::min(text.size(), max_key); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    at ^= byte;
    if (at >= units_.size() || (units_[at] & (0x80000000u | 0xffu)) != byte) break;
    const std::uint32_t unit = units_[at];
    at ^= offset(unit);
    if ((unit >> 8 & 1) == 0) continue;
    const std::size_t place = at < units_.size() ? units_[at] & 0x7fffffffu : texts_.size();
    if (place < texts_.size()) best = {i + 1, std::string_view(texts_.data() + place)};
  }
  return best;
}

// What the text begins with becomes, and how many bytes that covers.
Charsmap::Match SentencePieceNormalizer::next(std::string_view text) const {
  const std::size_t symbol = verbatim.longest(text).first;
  if (symbol > 0) return {symbol, text.substr(0, symbol)};
  const Charsmap::Match match = charsmap.longest(text);
  if (match.size > 0) return match;
  const Utf8Char c = utf8_decode(text);
  return {c.size, c.valid ? text.substr(0, c.size) : std::string_view("\xef\xbf\xbd")};
}

std::string SentencePieceNormalizer::normalise(std::string_view text, bool prefix) const {
  const std::string_view space = escape ? space_mark : std::string_view(" ");
  while (squeeze && !text.empty()) {
    const Charsmap::Match match = next(text);
    if (match.replacement != " ") break;
    text.remove_prefix(match.size);
  }
  if (text.empty()) return {};
  std::string out(prefix ? space : std::string_view());
  out.reserve(text.size() + text.size() / 2);
  bool after_space = squeeze;
  while (!text.empty()) {
    const Charsmap::Match match = next(text);
    text.remove_prefix(match.size);
    std::string_view part = match.replacement;
    while (after_space && part.starts_with(' ')) part.remove_prefix(1);
    if (!part.empty()) after_space = squeeze && part.back() == ' ';
    for (const char c : part) {
      if (c == ' ') {
        out += space;
      } else {
        out += c;
      }
    }
  }
  while (squeeze && out.ends_with(space)) out.resize(out.size() - space.size());
  return out;
}

}  // namespace bitnet
