// TokenMaskCache: the masks of the grammars that one vocabulary was last asked for.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "inference/grammar/token_masks.h"

namespace bitnet {

// Safe to use from any thread. Holds the masks of the last 16 grammars, of at most 16 MiB each, and the tree of the vocabulary
// once somebody asked. Keeps a reference to the tokenizer.
class TokenMaskCache {
 public:
  // `end_ids`: the tokens that end an answer.
  TokenMaskCache(const Tokenizer& tokenizer, std::int64_t n_vocab, std::span<const TokenId> end_ids);

  // The same masks for the same grammar as long as they are remembered. Throws what TokenMasks throws.
  std::shared_ptr<const TokenMasks> of(const std::shared_ptr<const Grammar>& grammar);

 private:
  const Tokenizer& tokenizer_;
  std::int64_t n_vocab_;
  std::vector<TokenId> end_ids_;
  std::mutex mutex_;  // of what follows
  std::shared_ptr<const TokenTrie> trie_;
  std::list<std::shared_ptr<const TokenMasks>> known_;  // last used first
};

}  // namespace bitnet
