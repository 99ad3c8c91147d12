// Walks the double-array trie with every index checked.
#include "tokenizers/charsmap.h"

#include <algorithm>

#include "common/error.h"

namespace bitnet {
namespace {

// A crafted trie can be circular; no real key is near this long (Unicode's longest compatibility mapping has 33 bytes).
constexpr std::size_t max_key = 256;

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
  for (std::size_t at = 4; at < 4 + size; at += 4) units_.push_back(number(at));
  texts_ = std::string(blob.substr(4 + size));
  if (texts_.empty() || texts_.back() != '\0')
    fail(ErrorKind::bad_model, "tokenizer: the charsmap's texts do not end with NUL");
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

}  // namespace bitnet
