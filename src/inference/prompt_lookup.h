// PromptLookup: what followed the last time the text ended as it ends now?
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "inference/draft.h"

namespace bitnet {

// An index of the n-grams of one growing text (Saxena, "Prompt lookup decoding", 2023), with about 40 bytes a token. Not thread
// safe.
class PromptLookup {
 public:
  // Makes the text `ids`. What it shares with the text so far, from the start on, costs a comparison only.
  void set(std::span<const TokenId> ids);
  void append(TokenId id);

  // Up to `most` tokens that followed the latest earlier place of the text's last 4 tokens, or 3, or 2; none when there is no
  // such place. Where that runs into the end of the text, it goes on with the draft itself: a text that repeats keeps doing so.
  // `matched` counts the equal tokens before, to 16.
  Draft draft(std::size_t most) const;

  std::span<const TokenId> ids() const { return ids_; }

 private:
  // The n-grams of one length by where they end (the index behind their last token), the latest of each hash first.
  struct Index {
    std::vector<std::uint32_t> latest;   // (a power of two) by hash; 0 = none
    std::vector<std::uint32_t> earlier;  // (ids + 1) the end before this one with the same hash
  };
  static constexpr std::size_t shortest = 2, longest = 4, most_matched = 16;

  std::size_t slot(std::size_t length, std::size_t end) const;
  void add(std::size_t end);
  void truncate(std::size_t length);
  void grow();
  std::size_t earlier_end(std::size_t length) const;

  std::vector<TokenId> ids_;
  std::array<Index, longest - shortest + 1> indices_;  // of n-grams of 2, 3 and 4 tokens
};

}  // namespace bitnet
