// TokenScore: how probable the model found a token, and which ones it found most probable in its place.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "inference/logits.h"

namespace bitnet {

// Natural logarithms of the softmax of the logits as the model gives them: before bias, penalties and temperature.
struct TokenScore {
  TokenId id;
  double log_probability;
  std::vector<std::pair<TokenId, double>> top;  // the most probable ones in descending order, the lower id first on a tie
};

// Of one position: `logits` of all tokens, `top` alternatives at most. The same bits whatever computed the logits. Throws
// Error{runtime} for logits that are not numbers.
TokenScore score_token(const LogitSet& logits, TokenId id, std::int64_t top);

}  // namespace bitnet
