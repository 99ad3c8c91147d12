// Speculation: the next step of decoding, where several drafted tokens are computed in one batch and kept while they come true.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inference/draft_policy.h"
#include "inference/generation.h"
#include "inference/session.h"
#include "inference/transformer.h"

namespace bitnet {

// Exact: a token's logits do not depend on its batch, and a draw is a function of logits, history and position. The caller
// draws every token from the logits of its own position, as without drafts; a draft that equals the token drawn has spared a
// step, and what was computed behind another one is forgotten. At any time the session is what it would be without drafts. One
// request's; not thread safe.
class Speculation {
 public:
  // `drafts` and `source` are GenerateRequest's. All references must outlive it; the session may be put in another's place,
  // when forget() was called before.
  Speculation(Transformer& transformer, Session& session, std::int64_t drafts, const DraftSource& source, StepCosts& costs);

  // Appends the text's last token to the session, which holds all before it; returns the logits behind it that the generation
  // asks for, valid until the next call. At most `wanted` more tokens will be drawn, one at least. Throws Error{too_big} when
  // the context or memory ends, Error{io} when the model's file was changed.
  LogitSet advance(const Generation& generation, std::int64_t wanted);

  // Somebody else may use the transformer or change the session now: what was computed ahead is lost.
  void forget();

  std::int64_t drafted() const { return drafted_; }    // drafts computed
  std::int64_t accepted() const { return accepted_; }  // those of them that came true

 private:
  bool looks_up() const { return drafts_ != 0 && !source_; }
  void learn(std::span<const TokenId> text);
  std::vector<TokenId> choose(std::span<const TokenId> text, std::int64_t wanted);
  void compute(TokenId id, std::span<const TokenId> drafts);
  void find();

  Transformer& transformer_;
  Session& session_;
  const std::int64_t drafts_;
  const DraftSource& source_;
  DraftPolicy policy_;
  std::size_t learnt_ = 0;           // tokens of the text that the policy was told
  std::vector<BatchToken> batch_;    // a token of the text, then its drafts
  std::vector<LogitQuery> queries_;  // behind each of the batch
  std::size_t row_ = 0;              // of the batch: that of the text's last token
  std::vector<LogitSet> found_;      // of the batch's rows from first_found_ on
  std::size_t first_found_ = 0;
  std::int64_t drafted_ = 0, accepted_ = 0;
};

}  // namespace bitnet
