// Log-likelihoods: how probable a model finds given tokens, from the exact logits of the whole vocabulary.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "inference/engine.h"

namespace bitnet {

// The tokens ids[i] for i >= first are scored, each given all before it.
struct ScoredSequence {
  std::vector<TokenId> ids;  // each in [0, n_vocab); at most n_ctx() + 1
  std::int64_t first = 1;    // in [1, ids.size()]
};

struct TokenLikelihood {
  double log_probability = 0;  // natural logarithm of the softmax, in double precision
  bool is_top = false;         // no token has a larger logit, and none before it an equal one
};

// A possible end of a text. Both parts at least one token, each id in [0, n_vocab).
struct Choice {
  std::vector<TokenId> context, continuation;
};

struct ChoiceLikelihood {
  double log_probability = 0;  // of all tokens of the continuation together
  bool is_top = true;          // each of them is the most probable one where it stands
  std::int64_t dropped = 0;    // tokens left out at the context's start, because all together did not fit into the context
};

// Scores with one engine, whose sessions it keeps. All results have the same bits at any thread count, chunk and instruction
// set, and whatever else is scored together. Not thread safe; nobody else may use the engine during a call. Throws
// Error{runtime} when the model's logits are no numbers, and what Engine::forward throws.
class LikelihoodScorer {
 public:
  // `between_passes`, when given, is called before every forward pass and may throw, to stop the work.
  explicit LikelihoodScorer(Engine& engine, std::function<void()> between_passes = {})
      : engine_(engine), between_passes_(std::move(between_passes)) {}

  // For each sequence, its ids.size() - first likelihoods. Sequences that are short go through the model together.
  std::vector<std::vector<TokenLikelihood>> score(std::span<const ScoredSequence> sequences);

  // Of several choices at once; what they share at the start, also with those of the last call, is computed once. Of more than
  // n_ctx() + 1 tokens the first are dropped; throws Error{too_big} for a continuation of more than n_ctx() tokens.
  std::vector<ChoiceLikelihood> score_choices(std::span<const Choice> choices);

 private:
  Session& session(std::size_t index);

  Engine& engine_;
  std::function<void()> between_passes_;
  std::vector<Session> sessions_;
};

// How a token's prediction differs between two models, P the first's and Q the second's.
struct TokenComparison {
  double p_log_probability = 0, q_log_probability = 0;  // of the token itself
  double divergence = 0;                                // Kullback-Leibler, of Q from P over the vocabulary, in nats
  bool same_top = false;                                // both have the same most probable token
};

// Of the scored tokens of one sequence, both models side by side: neither's logits are kept. The engines' vocabularies must
// have the same size. Exactness and errors as above.
std::vector<TokenComparison> compare(Engine& p, Engine& q, const ScoredSequence& sequence,
                                     const std::function<void()>& between_passes = {});

}  // namespace bitnet
