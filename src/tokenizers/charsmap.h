// Charsmap: sentencepiece's compiled normaliser, a trie of character sequences and what they become.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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

}  // namespace bitnet
