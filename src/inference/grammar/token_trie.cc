// Sorts the tokens' bytes and lays their tree out in one array.
#include "inference/grammar/token_trie.h"

#include <algorithm>
#include <string>
#include <utility>

namespace bitnet {
namespace {

constexpr std::size_t longest_token = 60000;  // bytes; a longer one is never allowed

}  // namespace

TokenTrie::TokenTrie(const Tokenizer& tokenizer, std::int64_t n_vocab, std::span<const TokenId> end_ids)
    : end_ids_(end_ids.begin(), end_ids.end()), n_vocab_(n_vocab), leading_space_(tokenizer.leading_space()) {
  std::vector<std::pair<std::string, TokenId>> pieces;
  const auto count = std::min<std::int64_t>(n_vocab, static_cast<std::int64_t>(tokenizer.size()));
  for (TokenId id = 0; id < count; ++id) {
    const TokenKind kind = tokenizer.kind(id);
    const bool is_text = kind == TokenKind::normal || kind == TokenKind::user_defined || kind == TokenKind::byte;
    if (!is_text || std::find(end_ids_.begin(), end_ids_.end(), id) != end_ids_.end()) continue;
    std::string piece = tokenizer.piece(id);
    if (!piece.empty() && piece.size() <= longest_token) pieces.emplace_back(std::move(piece), id);
  }
  std::sort(pieces.begin(), pieces.end());
  std::vector<std::uint32_t> open = {0};  // the nodes on the way to the last token
  nodes_.push_back({0, 0, 0, 0});
  const auto close_below = [&](std::size_t depth) {
    for (; open.size() > depth + 1; open.pop_back()) nodes_[open.back()].next = static_cast<std::uint32_t>(nodes_.size());
  };
  std::string_view last;
  for (const auto& [piece, id] : pieces) {
    const auto same =
        static_cast<std::size_t>(std::mismatch(piece.begin(), piece.end(), last.begin(), last.end()).first - piece.begin());
    close_below(same);
    for (std::size_t i = same; i < piece.size(); ++i) {
      open.push_back(static_cast<std::uint32_t>(nodes_.size()));
      nodes_.push_back({0, static_cast<std::uint32_t>(tokens_.size()), static_cast<std::uint16_t>(i + 1),
                        static_cast<std::uint8_t>(piece[i])});
    }
    tokens_.push_back(id);
    if (piece.size() == 1) single_[static_cast<std::uint8_t>(piece[0])] = true;
    deepest_ = std::max(deepest_, piece.size());
    last = piece;
  }
  close_below(0);
  nodes_[0].next = static_cast<std::uint32_t>(nodes_.size());
  nodes_.push_back({0, static_cast<std::uint32_t>(tokens_.size()), 0, 0});
}

}  // namespace bitnet
