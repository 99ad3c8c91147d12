// The softmax of one position, as far as somebody asked for it.
#include "inference/token_score.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/error.h"
#include "kernels/log_softmax.h"

namespace bitnet {

Prediction::Prediction(std::span<const float> logits)
    : logits_(logits), log_sum_(log_sum_exp(logits.data(), static_cast<std::int64_t>(logits.size()))) {
  if (!std::isfinite(log_sum_)) fail(ErrorKind::runtime, "model output is invalid: a logit is infinite or not a number");
}

TokenScore score_token(const LogitSet& logits, TokenId id, std::int64_t top) {
  const Prediction prediction(logits.values);
  TokenScore result{id, prediction.log_probability(id), {}};
  if (top == 0) return result;
  std::vector<TokenId> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto end = order.begin() + std::min<std::ptrdiff_t>(top, static_cast<std::ptrdiff_t>(order.size()));
  std::partial_sort(order.begin(), end, order.end(), [&](TokenId a, TokenId b) {
    const float left = logits.values[static_cast<std::size_t>(a)], right = logits.values[static_cast<std::size_t>(b)];
    return left != right ? left > right : a < b;
  });
  for (auto t = order.begin(); t != end; ++t) result.top.emplace_back(*t, prediction.log_probability(*t));
  return result;
}

}  // namespace bitnet
