// Session: one sequence of tokens, with what the model remembers of them.
#pragma once

#include <memory>
#include <vector>

#include "inference/kv_cache.h"
#include "inference/prompt_lookup.h"

namespace bitnet {

// Belongs to the engine that made it and must not outlive it.
struct Session {
  std::unique_ptr<KvCache> cache;
  std::vector<TokenId> ids;  // ids[i] is at position i
  PromptLookup lookup = {};  // of the last request's text, where it was asked for: the next one may begin with it
};

}  // namespace bitnet
