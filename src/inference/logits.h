// The logits of one position, all or some, and how somebody says which of them he needs.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tokenizers/tokenizer.h"

namespace bitnet {

// Without ids: of all tokens from 0. With: of these, ids ascending.
struct LogitSet {
  std::span<const TokenId> ids;
  std::span<const float> values;

  std::size_t size() const { return values.size(); }
  TokenId id(std::size_t i) const { return ids.empty() ? static_cast<TokenId>(i) : ids[i]; }
};

// What a caller needs of a position's logits. An answer may hold more.
struct LogitQuery {
  std::int64_t count = 0;          // of the highest; 0 = every logit
  float margin = 0;                // and those that are at most so far below the count-th
  std::vector<TokenId> also = {};  // and these, in any order, repeats allowed
};

}  // namespace bitnet
