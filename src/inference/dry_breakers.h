// Which tokens hold one of the texts over which DRY sees no repeat?
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "tokenizers/tokenizer.h"

namespace bitnet {

// Looks at every token once for a list of texts, and remembers the last few lists. Safe from any thread.
class DryBreakers {
 public:
  // Ids below n_vocab, ascending.
  std::vector<TokenId> find(const std::vector<std::string>& texts, const Tokenizer& tokenizer, std::int64_t n_vocab);

 private:
  static constexpr std::size_t most = 8;
  std::mutex mutex_;
  std::list<std::pair<std::vector<std::string>, std::vector<TokenId>>> known_;  // last found first
};

}  // namespace bitnet
