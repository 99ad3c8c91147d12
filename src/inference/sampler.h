// Sampler: logits of one position -> one token, by a fixed chain of steps that SamplingParams switches on.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "inference/logits.h"
#include "tokenizers/tokenizer.h"

namespace bitnet {

// The chain: logit bias, penalties, top-k, typical, top-p, min-p, temperature, draw. Defaults are llama.cpp's.
// Temperature 0 is greedy: the highest logit after bias and penalties, the lowest id on a tie.
struct SamplingParams {
  float temperature = 0.8f;         // 0 to 100; 0 = greedy
  std::int32_t top_k = 40;          // 0 = off
  float top_p = 0.95f;              // (0, 1]; 1 = off
  float min_p = 0.05f;              // [0, 1]; 0 = off: keep tokens of at least min_p times the best one's probability
  float typical_p = 1.0f;           // (0, 1]; 1 = off: locally typical sampling (Meister et al., 2022)
  float repeat_penalty = 1.0f;      // (0, 10]; divides positive and multiplies negative logits of recent tokens
  std::int32_t repeat_last_n = 64;  // window of the three penalties in tokens; 0 = off, -1 = everything
  float presence_penalty = 0.0f;    // [-2, 2] subtracted once for a recent token
  float frequency_penalty = 0.0f;   // [-2, 2] subtracted for each time it occurs in the window
  std::uint64_t seed = 0;
  std::vector<std::pair<TokenId, float>> logit_bias;  // added to the logit; -infinity bans
};

// Throws Error{usage} naming the field, its value and the bound. `n_vocab` bounds the ids of logit_bias.
void check(const SamplingParams& params, std::int64_t n_vocab);

// Draws with a counter-based generator keyed by (seed, sequence, position), so a draw does not depend on what else runs.
// Probabilities are compared and added as integers, so the result does not depend on the order in which a library sorts or adds
// either. Holds scratch memory only. Not thread safe; one per sequence.
class Sampler {
 public:
  // Throws what check() throws.
  Sampler(SamplingParams params, std::int64_t n_vocab, std::uint64_t sequence = 0);

  // The logits that sample() needs behind `history`: with these it gives the token that all of them would give.
  LogitQuery query(std::span<const TokenId> history) const;

  // `logits` of all tokens, or an answer to query(); `history` = prompt and generated tokens so far, oldest first; `position`
  // counts generated tokens. Throws Error{runtime} when a logit is NaN or none is finite.
  TokenId sample(const LogitSet& logits, std::span<const TokenId> history, std::uint64_t position);

  const SamplingParams& params() const { return params_; }

 private:
  struct Candidate {
    TokenId id;
    float logit;
    std::uint64_t weight;  // exp(logit - best logit) * 2^40
  };
  std::span<const TokenId> window(std::span<const TokenId> history) const;
  void adjust(const LogitSet& logits, std::span<const TokenId> history);
  void penalise(std::span<const TokenId> recent);
  float* find(TokenId id);
  TokenId greedy() const;
  void sort_prefix(std::size_t count);
  void weigh(float temperature);
  std::uint64_t total_weight() const;
  void keep_top_k();
  void keep_typical();
  void keep_top_p();
  void keep_min_p();
  TokenId draw(std::uint64_t random);

  SamplingParams params_;
  std::uint64_t sequence_;
  std::vector<std::int32_t> counts_;  // (n_vocab) occurrences in the window; all zero between calls
  std::vector<Candidate>
      candidates_;  // by id at first; then the first sorted_ in descending order, lower ids first among equals
  std::size_t sorted_ = 0;
};

}  // namespace bitnet
