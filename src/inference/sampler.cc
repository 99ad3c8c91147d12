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
    : params_(std::move(params)), sequence_(sequence), counts_(static_cast<std::size_t>(n_vocab)) {
  check(params_, n_vocab);
}

std::span<const TokenId> Sampler::window(std::span<const TokenId> history) const {
  const auto most = params_.repeat_last_n < 0 ? history.size() : static_cast<std::size_t>(params_.repeat_last_n);
  return history.last(std::min(history.size(), most));
}

LogitQuery Sampler::query(std::span<const TokenId> history) const {
  const bool greedy = params_.temperature == 0;
  // Without top-k, typical and top-p weigh every token against the sum of all, and nothing but min-p ends the tail.
  const bool cut_by_min_p = params_.typical_p >= 1 && params_.top_p >= 1 && params_.min_p > 0;
  if (!greedy && params_.top_k == 0 && !cut_by_min_p) return {};
  LogitQuery query;
  for (const auto& [id, bias] : params_.logit_bias) query.also.push_back(id);
  const bool penalises = params_.repeat_penalty != 1 || params_.presence_penalty != 0 || params_.frequency_penalty != 0;
  if (penalises) query.also.insert(query.also.end(), window(history).begin(), window(history).end());
  // Each changed logit can push out one of the highest.
  query.count = (greedy || params_.top_k == 0 ? 1 : params_.top_k) + static_cast<std::int64_t>(query.also.size());
  // A little more than -ln(min_p), for the rounding of weights to integers.
  if (!greedy && params_.top_k == 0) query.margin = static_cast<float>(-log_f64(static_cast<double>(params_.min_p))) + 0.01f;
  return query;
}

TokenId Sampler::sample(const LogitSet& logits, std::span<const TokenId> history, std::uint64_t position) {
  adjust(logits, history);
  const TokenId best = greedy();
  if (params_.temperature == 0) return best;
  std::erase_if(candidates_, [](const Candidate& c) { return !(c.logit > -INFINITY); });
  sorted_ = 0;
  keep_top_k();
  weigh(1.0f);
  keep_typical();
  keep_top_p();
  keep_min_p();
  weigh(params_.temperature);
  return draw(counter_random(params_.seed, sequence_, position));
}

// candidates_ = logits + bias with penalties; +infinity counts as broken too, since softmax has no answer for it.
void Sampler::adjust(const LogitSet& logits, std::span<const TokenId> history) {
  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float logit = logits.values[i];
    if (std::isnan(logit) || logit == INFINITY)
      fail(ErrorKind::runtime, "model output is invalid: the logit of token {} is {}", logits.id(i), logit);
    candidates_.push_back({logits.id(i), logit, 0});
  }
  for (const auto& [id, bias] : params_.logit_bias) {
    if (float* logit = find(id)) *logit += bias;
  }
  penalise(window(history));
  const bool any = std::any_of(candidates_.begin(), candidates_.end(), [](const Candidate& c) { return c.logit > -INFINITY; });
  if (!any) fail(ErrorKind::runtime, "no token is left to choose: every logit is -infinity");
}

// The logit of a candidate while they are still in the order of their ids; null when it is none.
float* Sampler::find(TokenId id) {
  if (candidates_.size() == counts_.size()) return &candidates_[static_cast<std::size_t>(id)].logit;
  const auto found = std::lower_bound(candidates_.begin(), candidates_.end(), id,
                                      [](const Candidate& c, TokenId wanted) { return c.id < wanted; });
  return found == candidates_.end() || found->id != id ? nullptr : &found->logit;
}

void Sampler::penalise(std::span<const TokenId> recent) {
  for (const TokenId id : recent) ++counts_[static_cast<std::size_t>(id)];
  for (const TokenId id : recent) {
    std::int32_t& count = counts_[static_cast<std::size_t>(id)];
    if (count == 0) continue;  // done at its first occurrence
    if (float* logit = find(id)) {
      *logit = *logit > 0 ? *logit / params_.repeat_penalty : *logit * params_.repeat_penalty;
      *logit -= static_cast<float>(count) * params_.frequency_penalty + params_.presence_penalty;
    }
    count = 0;
  }
}

// The highest logit, the lowest id on a tie.
TokenId Sampler::greedy() const {
  const auto lower = [](const Candidate& a, const Candidate& b) { return a.logit < b.logit; };
  return std::max_element(candidates_.begin(), candidates_.end(), lower)->id;
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
