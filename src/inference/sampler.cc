// The sampling chain.
#include "inference/sampler.h"

#include <algorithm>
#include <cmath>

#include "common/error.h"
#include "kernels/elementary.h"

namespace bitnet {
namespace {

__extension__ typedef unsigned __int128 Wide;

constexpr double weight_unit = 0x1p40;  // 2^17 tokens of weight 1 still sum far below 2^64

// Finaliser of SplitMix64 (Steele et al., 2014): a bijection that spreads every bit.
std::uint64_t mix(std::uint64_t z) {
  z += 0x9e3779b97f4a7c15ull;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return z ^ z >> 31;
}

std::uint64_t counter_random(std::uint64_t seed, std::uint64_t sequence, std::uint64_t position) {
  return mix(mix(mix(seed) + sequence) + position);
}

void check_range(const char* field, float value, float low, float high, bool low_open) {
  const bool inside = value <= high && (low_open ? value > low : value >= low);  // false for NaN
  if (!inside) fail(ErrorKind::usage, "{} is {}, allowed is {}{}, {}]", field, value, low_open ? '(' : '[', low, high);
}

}  // namespace

void check(const SamplingParams& params, std::int64_t n_vocab) {
  check_range("temperature", params.temperature, 0, 100, false);
  check_range("top_p", params.top_p, 0, 1, true);
  check_range("min_p", params.min_p, 0, 1, false);
  check_range("typical_p", params.typical_p, 0, 1, true);
  check_range("repeat_penalty", params.repeat_penalty, 0, 10, true);
  check_range("presence_penalty", params.presence_penalty, -2, 2, false);
  check_range("frequency_penalty", params.frequency_penalty, -2, 2, false);
  if (params.top_k < 0) fail(ErrorKind::usage, "top_k is {}, allowed is 0 (off) and more", params.top_k);
  if (params.repeat_last_n < -1)
    fail(ErrorKind::usage, "repeat_last_n is {}, allowed is -1 (everything) and more", params.repeat_last_n);
  for (const auto& [id, bias] : params.logit_bias) {
    if (id < 0 || id >= n_vocab) fail(ErrorKind::usage, "logit_bias names token {}, allowed are 0 to {}", id, n_vocab - 1);
    if (std::isnan(bias)) fail(ErrorKind::usage, "logit_bias of token {} is not a number", id);
  }
}

Sampler::Sampler(SamplingParams params, std::int64_t n_vocab, std::uint64_t sequence)
    : params_(std::move(params)),
      sequence_(sequence),
      logits_(static_cast<std::size_t>(n_vocab)),
      counts_(static_cast<std::size_t>(n_vocab)) {
  check(params_, n_vocab);
}

TokenId Sampler::sample(std::span<const float> logits, std::span<const TokenId> history, std::uint64_t position) {
  adjust(logits, history);
  const TokenId best = greedy();
  if (params_.temperature == 0) return best;
  candidates_.clear();
  for (std::size_t i = 0; i < logits_.size(); ++i) {
    if (logits_[i] > -INFINITY) candidates_.push_back({static_cast<TokenId>(i), logits_[i], 0});
  }
  sorted_ = 0;
  keep_top_k();
  weigh(1.0f);
  keep_typical();
  keep_top_p();
  keep_min_p();
  weigh(params_.temperature);
  return draw(counter_random(params_.seed, sequence_, position));
}

// logits_ = logits + bias with penalties; +infinity counts as broken too, since softmax has no answer for it.
void Sampler::adjust(std::span<const float> logits, std::span<const TokenId> history) {
  bool any = false;
  for (std::size_t i = 0; i < logits_.size(); ++i) {
    if (std::isnan(logits[i]) || logits[i] == INFINITY)
      fail(ErrorKind::runtime, "model output is invalid: the logit of token {} is {}", i, logits[i]);
    logits_[i] = logits[i];
  }
  for (const auto& [id, bias] : params_.logit_bias) logits_[static_cast<std::size_t>(id)] += bias;
  penalise(history);
  for (const float logit : logits_) any = any || logit > -INFINITY;
  if (!any) fail(ErrorKind::runtime, "no token is left to choose: every logit is -infinity");
}

void Sampler::penalise(std::span<const TokenId> history) {
  const auto window =
      params_.repeat_last_n < 0 ? history.size() : std::min(history.size(), static_cast<std::size_t>(params_.repeat_last_n));
  const auto recent = history.last(window);
  for (const TokenId id : recent) ++counts_[static_cast<std::size_t>(id)];
  for (const TokenId id : recent) {
    const auto i = static_cast<std::size_t>(id);
    if (counts_[i] == 0) continue;  // done at its first occurrence
    float& logit = logits_[i];
    logit = logit > 0 ? logit / params_.repeat_penalty : logit * params_.repeat_penalty;
    logit -= static_cast<float>(counts_[i]) * params_.frequency_penalty + params_.presence_penalty;
    counts_[i] = 0;
  }
}

TokenId Sampler::greedy() const {
  return static_cast<TokenId>(std::max_element(logits_.begin(), logits_.end()) - logits_.begin());
}

// Puts at least the `count` best candidates in order. Equal logits are ordered by id, so the order is the same everywhere.
void Sampler::sort_prefix(std::size_t count) {
  count = std::min(count, candidates_.size());
  if (count <= sorted_) return;
  // Grows in leaps: most steps look only at the head of a vocabulary of 10^5.
  count = std::min(candidates_.size(), std::max({count, sorted_ * 8, std::size_t{64}}));
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  const auto begin = candidates_.begin() + static_cast<std::ptrdiff_t>(sorted_),
             end = candidates_.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(begin, end, candidates_.end(), better);
  sorted_ = count;
}

void Sampler::weigh(float temperature) {
  sort_prefix(1);
  const float best = candidates_.front().logit;
  for (Candidate& c : candidates_) {
    c.weight = static_cast<std::uint64_t>(exp_f64(static_cast<double>(c.logit - best) / static_cast<double>(temperature)) *
                                          weight_unit);
  }
}

std::uint64_t Sampler::total_weight() const {
  std::uint64_t total = 0;
  for (const Candidate& c : candidates_) total += c.weight;
  return total;
}

void Sampler::keep_top_k() {
  const auto k = static_cast<std::size_t>(params_.top_k);
  if (k == 0 || k >= candidates_.size()) return;
  sort_prefix(k);
  candidates_.resize(k);
  sorted_ = std::min(sorted_, k);
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
      candidates_.resize(i + 1);
      sorted_ = i + 1;
      return;
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
  candidates_.resize(std::max<std::size_t>(kept, 1));
  sorted_ = candidates_.size();
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

// The candidate at a uniformly random place of the line of all weights, laid out in descending order.
TokenId Sampler::draw(std::uint64_t random) {
  auto place = static_cast<std::uint64_t>(static_cast<Wide>(random) * total_weight() >> 64);
  for (std::size_t i = 0;; ++i) {
    sort_prefix(i + 1);
    if (place < candidates_[i].weight || i + 1 == candidates_.size()) return candidates_[i].id;
    place -= candidates_[i].weight;
  }
}

}  // namespace bitnet
