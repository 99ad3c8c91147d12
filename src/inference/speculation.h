// Speculation: the next step of decoding, where several drafted tokens are computed in one batch and kept while they come true.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inference/draft_policy.h"
#include "inference/sampler.h"
#include "inference/session.h"
#include "inference/transformer.h"

namespace bitnet {

// Exact: a token's logits do not depend on its batch, and a draw is a function of logits, history and position. The caller
// draws every token from the logits of its own position, as without drafts; a draft that equals the token drawn has spared a
// step, and what was computed behind another one is forgotten. At any time the session is what it would be without drafts. One
// request's; not thread safe, and nobody else uses the transformer or changes the session meanwhile.
class Speculation {
 public:
  // The session holds `prompt`. `drafts` and `source` are GenerateRequest's. All references must outlive it.
  Speculation(Transformer& transformer, Session& session, std::span<const TokenId> prompt, std::int64_t drafts,
              const DraftSource& source, StepCosts& costs);

  // Appends a sampled token to the session; returns the logits behind it that `sampler` asks for, valid until the next call. At
  // most `wanted` more tokens will be sampled, one at least. Throws Error{too_big} when the context or memory ends, Error{io}
  // when the model's file was changed.
  LogitSet advance(TokenId id, const Sampler& sampler, std::int64_t wanted);

  std::int64_t drafted() const { return drafted_; }    // drafts computed
  std::int64_t accepted() const { return accepted_; }  // those of them that came true

 private:
  bool looks_up() const { return drafts_ != 0 && !source_; }
  std::vector<TokenId> choose(std::int64_t wanted);
  Draft propose(std::size_t most);
  void compute();
  void find(const Sampler& sampler);

  Transformer& transformer_;
  Session& session_;
  const std::int64_t drafts_;
  const DraftSource& source_;
  DraftPolicy policy_;
  std::vector<TokenId> assumed_;   // the text so far, then the drafts of the batch that have not come true yet
  std::vector<BatchToken> batch_;  // a token of the text, then its drafts
  std::size_t row_ = 0;            // of the batch: that of the text's last token
  std::vector<LogitSet> found_;    // of the batch's rows from first_found_ on
  std::size_t first_found_ = 0;
  std::int64_t drafted_ = 0, accepted_ = 0;
};

}  // namespace bitnet
