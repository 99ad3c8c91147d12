// Removal: takes models out of the cache, and nothing that another revision uses.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/hub/model_name.h"

namespace bitnet::hub {

// What is to go: shown to the user before it does.
struct Removal {
  std::vector<std::string> paths;  // files and links first, then folders with all they hold; all below the cache
  std::uint64_t files = 0;         // of the model, that go
  std::uint64_t bytes = 0;         // that become free
  std::string what;
};

// The whole model; with a revision only that one, with a file only that: and the blobs that no other revision uses. Throws
// Error{not_found} when it is not there, Error{io} when it is being pulled right now or leads out of the cache.
Removal plan_removal(const std::string& cache, const ModelName& name);

// Downloads that were not finished and that nobody works on: of all models, or of one (`repository` not empty).
Removal plan_prune(const std::string& cache, const std::string& repository);

// Does it. Throws Error{io}.
void carry_out(const Removal& removal);

}  // namespace bitnet::hub
