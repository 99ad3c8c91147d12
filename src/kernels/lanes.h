// The order in which every float reduction adds: 16 virtual lanes, then a tree. Scalar form.
#pragma once

#include <cstdint>

namespace bitnet {

constexpr std::int64_t float_lanes = 16;

// Element i was added to lane i mod 16; lanes 8, 4, 2 and then 1 apart are added.
static inline float lane_sum(const float* lanes) {
  float sum[8];
  for (int i = 0; i < 8; ++i) sum[i] = lanes[i] + lanes[i + 8];
  for (int i = 0; i < 4; ++i) sum[i] += sum[i + 4];
  for (int i = 0; i < 2; ++i) sum[i] += sum[i + 2];
  return sum[0] + sum[1];
}

}  // namespace bitnet
