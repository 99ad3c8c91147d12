// Keeps one sequence's place in its grammar and the set of tokens that may follow.
#include "inference/constraint.h"

#include <algorithm>
#include <string>
#include <utility>

#include "common/error.h"

namespace bitnet {
namespace {

constexpr std::size_t few_tokens = 256;  // whose rows of the head are found one by one rather than all

}  // namespace

Constraint::Constraint(std::shared_ptr<const TokenMasks> masks, const Tokenizer& tokenizer, bool may_draw_end)
    : masks_(std::move(masks)),
      tokenizer_(&tokenizer),
      may_draw_end_(may_draw_end),
      matcher_(masks_->grammar()),
      allowed_(masks_->trie().n_vocab()) {
  find_allowed();
}

void Constraint::find_allowed() {
  masks_->allowed(matcher_, !started_, allowed_);
  if (may_draw_end_ && matcher_.can_end()) {
    for (const TokenId id : masks_->trie().end_ids()) allowed_.add(id);
  }
  is_few_ = allowed_.count() <= few_tokens;
  few_ = is_few_ ? allowed_.ids() : std::vector<TokenId>();
}

LogitQuery Constraint::query() const {
  if (!is_few_) return {};
  return {1, 0, few_};  // a query asks for at least one of the highest
}

LogitSet Constraint::allowed_of(const LogitSet& logits) {
  ids_.clear(), values_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (!allowed_.has(logits.id(i))) continue;
    ids_.push_back(logits.id(i)), values_.push_back(logits.values[i]);
  }
  return {ids_, values_};
}

void Constraint::accept(TokenId id) {
  std::string piece = tokenizer_->piece(id);
  if (!started_ && tokenizer_->leading_space() != LeadingSpace::keep && piece.starts_with(' ')) piece.erase(0, 1);
  const MatchStates::Id before = matcher_.now();
  const std::uint64_t renamings = matcher_.renamings();
  if (!matcher_.accept(piece)) fail(ErrorKind::runtime, "token {} is not allowed by the constraint", id);
  const bool same = started_ && matcher_.now() == before && matcher_.renamings() == renamings;
  started_ = true;
  // Within a string most tokens lead back to where they came from.
  if (!same) find_allowed();
}

}  // namespace bitnet
