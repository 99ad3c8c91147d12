// Sums, means and lengths of hidden states.
#include "inference/pooling.h"

#include <cmath>

namespace bitnet {

void PooledText::add(std::span<const float> hidden) {
  sum_.resize(hidden.size());
  for (std::size_t i = 0; i < hidden.size(); ++i) sum_[i] += static_cast<double>(hidden[i]);
}

std::vector<float> PooledText::finish(bool normalise) const {
  const double count = pooling_ == Pooling::mean ? static_cast<double>(positions_) : 1.0;
  double squares = 0;
  for (const double x : sum_) squares += (x / count) * (x / count);
  const double divisor = normalise && squares > 0 ? count * std::sqrt(squares) : count;
  std::vector<float> vector;
  for (const double x : sum_) vector.push_back(static_cast<float>(x / divisor));
  return vector;
}

}  // namespace bitnet
