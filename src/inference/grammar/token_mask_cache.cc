// Remembers masks by their grammar, the last used first.
#include "inference/grammar/token_mask_cache.h"

#include <algorithm>
#include <utility>

namespace bitnet {
namespace {

constexpr std::size_t most_known = 16;

}  // namespace

TokenMaskCache::TokenMaskCache(const Tokenizer& tokenizer, std::int64_t n_vocab, std::span<const TokenId> end_ids)
    : tokenizer_(tokenizer), n_vocab_(n_vocab), end_ids_(end_ids.begin(), end_ids.end()) {}

std::shared_ptr<const TokenMasks> TokenMaskCache::of(const std::shared_ptr<const Grammar>& grammar) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(known_.begin(), known_.end(), [&](const auto& masks) { return masks->grammar() == grammar; });
  if (found != known_.end()) {
    known_.splice(known_.begin(), known_, found);
    return known_.front();
  }
  if (!trie_) trie_ = std::make_shared<TokenTrie>(tokenizer_, n_vocab_, end_ids_);
  known_.push_front(std::make_shared<TokenMasks>(grammar, trie_));
  if (known_.size() > most_known) known_.pop_back();
  return known_.front();
}

}  // namespace bitnet
