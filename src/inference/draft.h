// Draft: tokens that somebody guesses will come next, and how a request says who guesses and how many.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "tokenizers/tokenizer.h"

namespace bitnet {

struct Draft {
  std::vector<TokenId> ids;  // in the order in which they would come
  std::size_t matched = 0;   // tokens before them that gave the hint: the more, the surer; 0 = not known
};

// Guesses at most `most` tokens that follow `history` (prompt and generated tokens, oldest first). A wrong guess costs time and
// never changes a result; an id outside the vocabulary ends the draft.
using DraftSource = std::function<Draft(std::span<const TokenId> history, std::size_t most)>;

constexpr std::int64_t drafts_auto = -1;  // as many as pay, by what was measured
constexpr std::int64_t most_drafts = 64;  // that a request may ask for in one step

}  // namespace bitnet
