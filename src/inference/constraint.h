// Constraint: which tokens may one sequence draw next, so that its text stays within a grammar?
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "inference/grammar/token_masks.h"
#include "inference/logits.h"
#include "tokenizers/tokenizer.h"

namespace bitnet {

// Text tokens are allowed where some text of the grammar begins with them, end tokens exactly where the text may end, other
// control tokens never. What is allowed next is found when a token is accepted, on the thread that does so. A copy is a fork.
// Keeps a reference to the tokenizer. Not thread safe.
class Constraint {
 public:
  // Without `may_draw_end` the text goes on for as long as the grammar lets it. Throws Error{too_big} for a grammar that is too
  // ambiguous.
  Constraint(std::shared_ptr<const TokenMasks> masks, const Tokenizer& tokenizer, bool may_draw_end);

  // The logits of the allowed tokens where these are few, else all.
  LogitQuery query() const;

  // Of an answer to query(), or of all logits, those that are allowed; valid until the next call of anything here.
  LogitSet allowed_of(const LogitSet& logits);

  bool allows(TokenId id) const { return allowed_.has(id); }

  // The text goes on with a token that was allowed and ends no text. Throws Error{too_big} for a grammar that is too ambiguous
  // here.
  void accept(TokenId id);

  // Nothing may follow: the text is complete.
  bool must_end() const { return !matcher_.can_continue(); }

 private:
  void find_allowed();

  std::shared_ptr<const TokenMasks> masks_;
  const Tokenizer* tokenizer_;
  bool may_draw_end_;
  bool started_ = false;  // some text has been written
  GrammarMatcher matcher_;
  TokenSet allowed_;
  std::vector<TokenId> few_;  // allowed_, where it is small
  bool is_few_ = false;
  std::vector<TokenId> ids_;  // of the last answer
  std::vector<float> values_;
};

}  // namespace bitnet
