// SpecialTokens: cuts text at the tokens that are written in it whole, whatever the tokenizer's algorithm.
#pragma once

#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizers/tokenizer.h"

namespace bitnet {

struct SpecialToken {
  std::string text;
  TokenId id;
  bool control = true;      // false: user-defined, parsed even when control tokens are not
  bool strip_left = false;  // swallows white space before it (HuggingFace's lstrip), behind it (rstrip)
  bool strip_right = false;
  bool single_word = false;  // matches only where no letter, mark, digit or connector stands next to it
};

// Immutable. A match is the leftmost, of those the longest.
class SpecialTokens {
 public:
  SpecialTokens() = default;
  explicit SpecialTokens(std::vector<SpecialToken> tokens);  // those with empty text or over 256 bytes are never matched

  struct Segment {
    std::string_view text;
    TokenId token;  // -1: ordinary text, never empty
  };
  std::vector<Segment> split(std::string_view text, bool parse_control) const;

 private:
  const SpecialToken* match(std::string_view text, bool parse_control) const;

  std::vector<SpecialToken> tokens_;
  std::unordered_map<std::uint64_t, std::uint32_t> edges_;  // node * 256 + byte -> node
  std::vector<std::int32_t> ends_;                          // node -> index of the token that ends there, or -1
  std::bitset<256> first_;
};

}  // namespace bitnet
