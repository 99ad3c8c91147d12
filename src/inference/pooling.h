// PooledText: the hidden states of a text, added position by position, as one vector.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/model_config.h"

namespace bitnet {

// Sums in double precision in the order of positions, so the vector does not depend on how the text was cut. Not thread safe.
class PooledText {
 public:
  // Of `positions` hidden states; pooling is not none.
  PooledText(Pooling pooling, std::int64_t positions) : pooling_(pooling), positions_(positions) {}

  // Does the pooling look at this position? Others need not be added.
  bool wants(std::int64_t position) const {
    return pooling_ == Pooling::mean || position == (pooling_ == Pooling::cls ? 0 : positions_ - 1);
  }
  void add(std::span<const float> hidden);  // (n_embd) of the next position that is wanted

  // (n_embd): the first, the last, or the mean of all; of length 1 with `normalise`, where a vector of zeros stays one.
  std::vector<float> finish(bool normalise) const;

 private:
  Pooling pooling_;
  std::int64_t positions_;
  std::vector<double> sum_;
};

}  // namespace bitnet
