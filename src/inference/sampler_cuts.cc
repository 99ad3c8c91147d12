// Which tokens the sampler leaves in, and how it flattens or sharpens what is left.
#include <algorithm>
#include <cmath>

#include "inference/sampler.h"
#include "kernels/elementary.h"

namespace bitnet {
namespace {

constexpr double ln_2 = 0.69314718055994530942;

double log_2(double x) { return log_f64(x) / ln_2; }

}  // namespace

// Of the first `count`, which are sorted.
void Sampler::keep(std::size_t count) {
  candidates_.resize(count);
  sorted_ = std::min(sorted_, count);
}

// Nguyen et al., "Top-nsigma: Not All Logits Are You Need", 2024. The candidates are those of all logits, by id.
void Sampler::keep_top_n_sigma() {
  if (params_.top_n_sigma <= 0) return;
  double sum = 0, squares = 0;
  float best = -INFINITY;
  for (const Candidate& c : candidates_) sum += static_cast<double>(c.logit), best = std::max(best, c.logit);
  const double mean = sum / static_cast<double>(candidates_.size());
  for (const Candidate& c : candidates_) {
    const double off = static_cast<double>(c.logit) - mean;
    squares += off * off;
  }
  const double sigma = std::sqrt(squares / static_cast<double>(candidates_.size()));
  const double least = static_cast<double>(best) - static_cast<double>(params_.top_n_sigma) * sigma;
  std::erase_if(candidates_, [&](const Candidate& c) { return static_cast<double>(c.logit) < least; });
}

void Sampler::keep_top_k() {
  const auto k = static_cast<std::size_t>(params_.top_k);
  if (k == 0 || k >= candidates_.size()) return;
  sort_prefix(k);
  keep(k);
}

// Keeps the smallest prefix whose probability reaches p.
void Sampler::keep_top_p() {
  if (params_.top_p >= 1) return;
  const double wanted = static_cast<double>(total_weight()) * static_cast<double>(params_.top_p);
  std::uint64_t mass = 0;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    sort_prefix(i + 1);
    mass += candidates_[i].weight;
    if (static_cast<double>(mass) >= wanted) {
      return keep(i + 1);
    }
  }
}

void Sampler::keep_min_p() {
  if (params_.min_p <= 0) return;
  const auto least =
      static_cast<std::uint64_t>(static_cast<double>(params_.min_p) * weight_unit);  // the best one weighs one unit
  std::size_t kept = 0;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    sort_prefix(i + 1);
    if (candidates_[i].weight < least) break;
    kept = i + 1;
  }
  keep(std::max<std::size_t>(kept, 1));
}

// Keeps the tokens whose surprise is closest to the expected one, until their probability reaches typical_p.
void Sampler::keep_typical() {
  if (params_.typical_p >= 1) return;
  sort_prefix(candidates_.size());
  const auto total = static_cast<double>(total_weight());
  const double best = static_cast<double>(candidates_.front().logit), log_total = log_f64(total / weight_unit);
  double entropy = 0;
  const auto surprise = [&](const Candidate& c) { return log_total - (static_cast<double>(c.logit) - best); };
  for (const Candidate& c : candidates_) entropy += static_cast<double>(c.weight) / total * surprise(c);
  std::stable_sort(candidates_.begin(), candidates_.end(), [&](const Candidate& a, const Candidate& b) {
    return std::fabs(surprise(a) - entropy) < std::fabs(surprise(b) - entropy);
  });
  double mass = 0;
  std::size_t kept = 0;
  while (kept < candidates_.size() && mass < static_cast<double>(params_.typical_p) * total)
    mass += static_cast<double>(candidates_[kept++].weight);
  candidates_.resize(std::max<std::size_t>(kept, 1));
  sorted_ = 0;
  weigh(1.0f);
}

void Sampler::exclude_top_choices(std::uint64_t random) {
  if (params_.xtc_probability <= 0 || static_cast<double>(random) * 0x1p-64 >= static_cast<double>(params_.xtc_probability))
    return;
  const double least = static_cast<double>(params_.xtc_threshold) * static_cast<double>(total_weight());
  std::size_t likely = 0;
  for (; likely < candidates_.size(); ++likely) {
    sort_prefix(likely + 1);
    if (static_cast<double>(candidates_[likely].weight) < least) break;
  }
  if (likely < 2) return;
  candidates_.erase(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(likely - 1));
  sorted_ -= likely - 1;
}

// The temperature of this position: of the entropy's share of ln(candidates), between temperature - range and + range (Dynamic
// temperature, kalomaze 2023). Never so low that weights cannot be told apart.
float Sampler::temperature() {
  if (params_.dynatemp_range <= 0 || candidates_.size() < 2) return params_.temperature;
  sort_prefix(candidates_.size());  // one order of adding, whatever was sorted before
  const auto total = static_cast<double>(total_weight());
  double entropy = 0;
  for (const Candidate& c : candidates_) {
    const double p = static_cast<double>(c.weight) / total;
    if (p > 0) entropy -= p * log_f64(p);
  }
  const double share = std::clamp(entropy / log_f64(static_cast<double>(candidates_.size())), 0.0, 1.0);
  const double bent = share > 0 ? exp_f64(static_cast<double>(params_.dynatemp_exponent) * log_f64(share)) : 0;
  const auto middle = static_cast<double>(params_.temperature), range = static_cast<double>(params_.dynatemp_range);
  const double low = std::max(middle - range, 0.0), high = middle + range;
  return static_cast<float>(std::max(low + (high - low) * bent, 1e-3));
}

// How many tokens keep the surprise near the limit if probabilities fall as a power of the rank: mirostat's first version,
// which estimates the power from the hundred most likely ones (Basu et al., 2021, algorithm 1).
std::size_t Sampler::mirostat_first_guess() {
  constexpr std::size_t looked_at = 100;
  const std::size_t m = std::min(looked_at, candidates_.size());
  double products = 0, squares = 0;
  for (std::size_t i = 0; i + 1 < m; ++i) {
    if (candidates_[i + 1].weight == 0) break;
    const double t = log_f64(static_cast<double>(i + 2) / static_cast<double>(i + 1));
    const double b = log_f64(static_cast<double>(candidates_[i].weight) / static_cast<double>(candidates_[i + 1].weight));
    products += t * b, squares += t * t;
  }
  const double power = squares > 0 ? products / squares : 0, excess = power - 1;
  if (power <= 0 || excess == 0) return candidates_.size();
  const double all = exp_f64(-excess * log_f64(static_cast<double>(candidates_.size())));
  const double inside = excess * exp_f64(surprise_limit_ * ln_2) / (1 - all);
  if (!(inside > 0)) return candidates_.size();
  const double k = exp_f64(log_f64(inside) / power);
  return k < static_cast<double>(candidates_.size()) ? std::max<std::size_t>(static_cast<std::size_t>(std::nearbyint(k)), 1)
                                                     : candidates_.size();
}

// The second version (algorithm 2 of the same paper's code) leaves out what is more surprising than the limit.
TokenId Sampler::draw_mirostat(std::uint64_t random) {
  weigh(params_.temperature);
  sort_prefix(candidates_.size());
  if (params_.mirostat == 1) {
    keep(mirostat_first_guess());
  } else {
    const double least = static_cast<double>(total_weight()) * exp_f64(-surprise_limit_ * ln_2);
    const auto end = std::find_if(candidates_.begin() + 1, candidates_.end(),
                                  [&](const Candidate& c) { return static_cast<double>(c.weight) < least; });
    keep(static_cast<std::size_t>(end - candidates_.begin()));
  }
  const Candidate& drawn = candidates_[draw(random)];
  const double surprise = -log_2(std::max(static_cast<double>(drawn.weight), 1.0) / static_cast<double>(total_weight()));
  surprise_limit_ -= static_cast<double>(params_.mirostat_eta) * (surprise - static_cast<double>(params_.mirostat_tau));
  return drawn.id;
}

}  // namespace bitnet
