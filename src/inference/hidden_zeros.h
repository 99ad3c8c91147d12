// How much of a feed-forward's hidden values was zero, and from where on is that worth using?
#pragma once

#include <cstdint>

namespace bitnet {

// Sums over the tokens that ran one at a time through layers of squared ReLU; nothing for other activations.
struct HiddenZeros {
  std::int64_t values = 0;         // hidden values in all
  std::int64_t closed_gates = 0;   // of them zero after the activation
  std::int64_t looked_at = 0;      // values that were counted once more after quantisation
  std::int64_t zeros = 0;          // of them zero then
  std::int64_t bytes_skipped = 0;  // of weights that were not read

  HiddenZeros& operator+=(const HiddenZeros& b) {
    values += b.values, closed_gates += b.closed_gates, looked_at += b.looked_at, zeros += b.zeros;
    bytes_skipped += b.bytes_skipped;
    return *this;
  }
  HiddenZeros operator-(const HiddenZeros& b) const {
    return {values - b.values, closed_gates - b.closed_gates, looked_at - b.looked_at, zeros - b.zeros,
            bytes_skipped - b.bytes_skipped};
  }
};

// Up to these shares of all rows of `up`, or columns of `down`, picking them is faster than reading them all. No result depends
// on it. Zero: never.
struct SparseLimits {
  double rows = 0, columns = 0;
};

}  // namespace bitnet
