// Sampler: logits of one position -> one token, by a fixed chain of steps that SamplingParams switches on.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "inference/logits.h"
#include "tokenizers/tokenizer.h"

namespace bitnet {

// The chain: logit bias, penalties, DRY, top-n-sigma, top-k, typical, top-p, min-p, XTC, temperature, draw. Defaults are
// llama.cpp's. Temperature 0 is greedy: the highest logit after bias, penalties and DRY, the lowest id on a tie. Mirostat takes
// the place of all that stands between DRY and the draw, but for the temperature.
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
  // DRY ("don't repeat yourself", p-e-w 2024): a token that would prolong a repeat of n >= dry_allowed_length tokens loses
  // dry_multiplier * dry_base^(n - dry_allowed_length). A repeat does not reach over a token whose text holds a breaker.
  float dry_multiplier = 0.0f;           // 0 to 100; 0 = off
  float dry_base = 1.75f;                // 1 to 10
  std::int32_t dry_allowed_length = 2;   // 1 and more
  std::int32_t dry_penalty_last_n = -1;  // window in tokens; 0 = off, -1 = everything
  std::vector<std::string> dry_sequence_breakers = {"\n", ":", "\"", "*"};
  float top_n_sigma = -1.0f;       // keep logits at most so many standard deviations below the highest; 0 and less = off
  float xtc_probability = 0.0f;    // [0, 1] of leaving out, at a position, all but the least likely of the tokens that
  float xtc_threshold = 0.1f;      // [0, 1] have at least this probability (XTC, "exclude top choices", p-e-w 2024)
  float dynatemp_range = 0.0f;     // 0 to 100: temperature +- range, higher the more even the probabilities are
  float dynatemp_exponent = 1.0f;  // (0, 10] of their entropy's share of the most it could be
  std::int32_t mirostat = 0;       // 0 = off, 1 or 2: holds the surprise of the drawn tokens at tau bits (Basu et al., 2021)
  float mirostat_tau = 5.0f;       // 0 to 100
  float mirostat_eta = 0.1f;       // [0, 1] how fast it learns
  std::uint64_t seed = 0;
  std::vector<std::pair<TokenId, float>> logit_bias;  // added to the logit; -infinity bans
};

// Throws Error{usage} naming the field, its value and the bound. `n_vocab` bounds the ids of logit_bias.
void check(const SamplingParams& params, std::int64_t n_vocab);

// Draws with a counter-based generator keyed by (seed, sequence, position), so a draw does not depend on what else runs.
// Probabilities are compared and added as integers, so the result does not depend on the order in which a library sorts or adds
// either. Holds scratch memory, and with mirostat what it learnt from its draws. Not thread safe; one per sequence.
class Sampler {
 public:
  // `dry_breakers`: the ids over which no repeat reaches, ascending. Throws what check() throws.
  Sampler(SamplingParams params, std::int64_t n_vocab, std::uint64_t sequence = 0, std::vector<TokenId> dry_breakers = {});

  // The logits that sample() needs behind `history`: with these it gives the token that all of them would give.
  LogitQuery query(std::span<const TokenId> history) const;

  // `logits` of all tokens, or an answer to query(); `history` = prompt and generated tokens so far, oldest first; `position`
  // counts generated tokens; with mirostat, each position once and in order. Throws Error{runtime} when a logit is NaN or none
  // is finite.
  TokenId sample(const LogitSet& logits, std::span<const TokenId> history, std::uint64_t position);

  const SamplingParams& params() const { return params_; }

 private:
  static constexpr double weight_unit = 0x1p40;  // of the best one; 2^17 tokens of this weight still sum far below 2^64
  struct Candidate {
    TokenId id;
    float logit;
    std::uint64_t weight;  // exp(logit - best logit) * weight_unit
  };
  // What DRY takes from a token's logit.
  struct Repeat {
    TokenId id;
    float penalty;
  };
  std::span<const TokenId> window(std::span<const TokenId> history) const;
  std::vector<Repeat> repeats(std::span<const TokenId> history) const;
  bool is_breaker(TokenId id) const;
  void adjust(const LogitSet& logits, std::span<const TokenId> history);
  void penalise(std::span<const TokenId> recent);
  float* find(TokenId id);
  TokenId greedy() const;
  void sort_prefix(std::size_t count);
  void weigh(float temperature);
  std::uint64_t total_weight() const;
  void keep(std::size_t count);
  void keep_top_n_sigma();
  void keep_top_k();
  void keep_typical();
  void keep_top_p();
  void keep_min_p();
  void exclude_top_choices(std::uint64_t random);
  float temperature();
  TokenId draw_mirostat(std::uint64_t random);
  std::size_t mirostat_first_guess();
  std::size_t draw(std::uint64_t random);  // gives its place

  SamplingParams params_;
  std::uint64_t sequence_;
  std::vector<TokenId> dry_breakers_;
  double surprise_limit_;             // mirostat's mu, in bits
  std::vector<std::int32_t> counts_;  // (n_vocab) occurrences in the window; all zero between calls
  std::vector<Candidate>
      candidates_;  // by id at first; then the first sorted_ in descending order, lower ids first among equals
  std::size_t sorted_ = 0;
};

}  // namespace bitnet
