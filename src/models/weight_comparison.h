// Are two stored weights the same, whatever types they are stored in?
#pragma once

#include <cstdint>
#include <string>

#include "common/thread_pool.h"
#include "models/source_model.h"

namespace bitnet {

enum class Likeness : std::uint8_t {
  equal,    // ternary: every code and every scale; otherwise every value
  rounded,  // no value is further off than the coarser of both types makes it
  different,
};

struct WeightDifference {
  Likeness likeness = Likeness::equal;
  std::string fact;           // what differs first, empty when nothing does
  std::uint64_t weights = 0;  // how many differ
  float largest = 0;          // the largest difference of two values; infinite where one is not finite
};

// Compares shapes, then all weights, on the pool's threads. Two ternary weights must have the same codes and, where codes are
// not zero, the same scales. Others are compared as values. Both maps' pages are let go. Throws Error{bad_model} for a code of
// 3 and for a scale that is not finite.
WeightDifference compare(const SourceWeight& a, const SourceWeight& b, ThreadPool& pool);

}  // namespace bitnet
