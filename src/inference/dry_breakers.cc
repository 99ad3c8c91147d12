// Finds tokens by what their text holds.
#include "inference/dry_breakers.h"

#include <algorithm>

namespace bitnet {

std::vector<TokenId> DryBreakers::find(const std::vector<std::string>& texts, const Tokenizer& tokenizer,
                                       std::int64_t n_vocab) {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [known, ids] : known_) {
      if (known == texts) return ids;
    }
  }
  std::vector<TokenId> ids;
  const auto size = std::min<std::int64_t>(n_vocab, static_cast<std::int64_t>(tokenizer.size()));
  for (TokenId id = 0; id < size; ++id) {
    const std::string piece = tokenizer.piece(id);
    const auto holds = [&](const std::string& text) { return piece.find(text) != std::string::npos; };
    if (std::any_of(texts.begin(), texts.end(), holds)) ids.push_back(id);
  }
  const std::lock_guard lock(mutex_);
  known_.emplace_front(texts, ids);
  if (known_.size() > most) known_.pop_back();
  return ids;
}

}  // namespace bitnet
