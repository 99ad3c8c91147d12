// The softmax of one position, as far as somebody asked for it.
#include "inference/token_score.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/error.h"
#include "kernels/log_softmax.h"

namespace bitnet {

TokenScore score_token(const LogitSet& logits, TokenId id, std::int64_t top) {
  const std::span<const float> values = logits.values;
  const double log_sum = log_sum_exp(values.data(), static_cast<std::int64_t>(values.size()));
  if (!std::isfinite(log_sum)) fail(ErrorKind::runtime, "model output is invalid: a logit is infinite or not a number");
  const auto score = [&](TokenId t) { return static_cast<double>(values[static_cast<std::size_t>(t)]) - log_sum; };
  TokenScore result{id, score(id), {}};
  std::vector<TokenId> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  const auto end = order.begin() + std::min<std::ptrdiff_t>(top, static_cast<std::ptrdiff_t>(order.size()));
  std::partial_sort(order.begin(), end, order.end(), [&](TokenId a, TokenId b) {
    const float left = values[static_cast<std::size_t>(a)], right = values[static_cast<std::size_t>(b)];
    return left != right ? left > right : a < b;
  });
  for (auto t = order.begin(); t != end; ++t) result.top.emplace_back(*t, score(*t));
  return result;
}

}  // namespace bitnet
