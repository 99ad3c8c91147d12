// Does a weight look like one of a trained model, or like a damaged file?
#pragma once

#include <string>
#include <vector>

#include "common/thread_pool.h"
#include "models/source_model.h"

namespace bitnet {

// Reads all of a weight and says what no trained model has: values that are not finite, nothing but zeros, magnitudes beyond
// reason (above 1e4; scales above 1e3 or below 1e-8), ternary matrices of which less than 1 % or more than 99 % are zeros, or
// whose signs are all the same. One clause each, with the figure; empty when there is nothing to say. The map's pages are let
// go. Never throws for what the weight holds.
std::vector<std::string> weight_problems(const SourceWeight& weight, ThreadPool& pool);

}  // namespace bitnet
