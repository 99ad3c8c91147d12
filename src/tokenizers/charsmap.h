// sentencepiece's normaliser: a compiled map of character sequences, then white space.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizers/piece_index.h"

namespace bitnet {

// Reads the blob `precompiled_charsmap` of a sentencepiece model: the size of a double-array trie, the trie, NUL-ended texts
// (builder.cc and normalizer.cc of sentencepiece; darts-clone for the trie's units). Immutable.
class Charsmap {
 public:
  Charsmap() = default;
  explicit Charsmap(std::string_view blob);  // throws Error{bad_model}; an empty blob changes nothing

  struct Match {
    std::size_t size;  // bytes of the text replaced; 0 when nothing matches
    std::string_view replacement;
  };
  Match longest(std::string_view text) const;

 private:
  std::vector<std::uint32_t> units_;
  std::string texts_;
};

struct SentencePieceNormalizer {
  Charsmap charsmap;
  PieceIndex verbatim;   // symbols that pass as they are
  bool squeeze = false;  // runs of spaces become one, those at either end go (remove_extra_whitespaces)
  bool escape = true;    // spaces are written as U+2581

  // `prefix` puts a space before the text. Each maximal broken part of UTF-8 becomes U+FFFD.
  std::string normalise(std::string_view text, bool prefix) const;

 private:
  Charsmap::Match next(std::string_view text) const;
};

// The written form of a space in SentencePiece vocabularies, U+2581.
constexpr std::string_view space_mark = "\xe2\x96\x81";

}  // namespace bitnet
