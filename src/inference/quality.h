// Quality of a model on a text: which tokens are scored, and what their likelihoods sum up to.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inference/likelihood.h"

namespace bitnet {

// A part of a text that is scored on its own, with what stands before as context.
struct TextWindow {
  std::int64_t begin, end;  // of the text's tokens
  std::int64_t first;       // the first scored token, counted from begin
};

// How llama.cpp's perplexity tool cuts a text (tools/perplexity, read in 2026). Without stride: windows of `ctx` tokens, one
// behind the other, of which the tokens behind number ctx / 2 are scored, a rest is left out. With stride: windows of
// ctx + stride / 2 tokens that begin `stride` apart, of which the last `stride` are scored.
struct TextCut {
  std::int64_t ctx = 512;
  std::int64_t stride = 0;  // 0 = without
  std::int64_t most = -1;   // windows at most; -1 = as many as there are

  std::int64_t window() const { return ctx + stride / 2; }
};

// Throws Error{usage} for a cut that scores nothing, and for a text shorter than two windows.
std::vector<TextWindow> text_windows(std::int64_t n_tokens, const TextCut& cut);

// A number and one standard deviation of its error; 0 where one value says nothing about it.
struct Estimate {
  double value = 0, error = 0;
};

// exp() of an estimate, the error carried through.
Estimate exp_of(const Estimate& x);

// The mean of values that come one by one, in the order in which they come.
class Mean {
 public:
  void add(double x) { sum_ += x, squares_ += x * x, ++count_; }
  std::int64_t count() const { return count_; }
  Estimate estimate() const;  // the error is sqrt((mean of squares - square of mean) / (count - 1))

 private:
  double sum_ = 0, squares_ = 0;
  std::int64_t count_ = 0;
};

// The value below which `fraction` in [0, 1] of the ascending values lie, between two of them in proportion; not empty.
double percentile(std::span<const double> ascending, double fraction);

struct Percentile {
  double percent, value;
};

// Of model Q against model P, in llama.cpp's terms: P is the base.
struct DivergenceSummary {
  std::int64_t tokens = 0;
  Estimate p_perplexity, q_perplexity;
  double correlation = 0;               // of the two models' log-likelihoods
  Estimate log_ratio, ratio;            // of Q's perplexity to P's
  Estimate divergence;                  // mean Kullback-Leibler divergence, nats
  std::vector<Percentile> divergences;  // 0 to 100
  Estimate delta, delta_rms;            // of the token's probability, Q's less P's: mean, and root of the mean square
  std::vector<Percentile> deltas;       // 0 to 100
  Estimate same_top;                    // share of tokens where both models would pick the same
};

// Keeps 16 bytes a token, so that the percentiles are exact.
class DivergenceStatistics {
 public:
  void add(const TokenComparison& token);
  std::int64_t count() const { return divergence_.count(); }
  DivergenceSummary summary() const;  // of at least one token

 private:
  Mean p_nll_, q_nll_, divergence_, delta_, delta_square_, same_top_;
  double nll_product_ = 0;
  std::vector<double> divergences_, deltas_;
};

}  // namespace bitnet
