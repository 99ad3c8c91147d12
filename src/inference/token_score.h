// TokenScore: how probable the model found a token, and which ones it found most probable in its place.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "inference/logits.h"

namespace bitnet {

// The softmax of one position's logits, which are of all tokens and outlive it.
class Prediction {
 public:
  // Throws Error{runtime} for logits that are not numbers.
  explicit Prediction(std::span<const float> logits);

  std::span<const float> logits() const { return logits_; }
  double log_sum() const { return log_sum_; }
  double log_probability(TokenId id) const { return static_cast<double>(logits_[static_cast<std::size_t>(id)]) - log_sum_; }
  TokenId top() const { return static_cast<TokenId>(std::max_element(logits_.begin(), logits_.end()) - logits_.begin()); }

 private:
  std::span<const float> logits_;
  double log_sum_;
};

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
