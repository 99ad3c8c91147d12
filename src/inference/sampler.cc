// The sampling chain: its order, its bounds, and what the steps stand on.
#include "inference/sampler.h"

#include <algorithm>
#include <cmath>

#include "common/error.h"
#include "kernels/elementary.h"

namespace bitnet {
namespace {

__extension__ typedef unsigned __int128 Wide;

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
  check_range("dry_multiplier", params.dry_multiplier, 0, 100, false);
  check_range("dry_base", params.dry_base, 1, 10, false);
  check_range("xtc_probability", params.xtc_probability, 0, 1, false);
  check_range("xtc_threshold", params.xtc_threshold, 0, 1, false);
  check_range("dynatemp_range", params.dynatemp_range, 0, 100, false);
  check_range("dynatemp_exponent", params.dynatemp_exponent, 0, 10, true);
  check_range("mirostat", static_cast<float>(params.mirostat), 0, 2, false);
  check_range("mirostat_tau", params.mirostat_tau, 0, 100, false);
  check_range("mirostat_eta", params.mirostat_eta, 0, 1, false);
  if (!(params.top_n_sigma < INFINITY)) fail(ErrorKind::usage, "top_n_sigma is {}, it must be a number", params.top_n_sigma);
  if (params.dry_allowed_length < 1)
    fail(ErrorKind::usage, "dry_allowed_length is {}, allowed is 1 and more", params.dry_allowed_length);
  if (params.dry_penalty_last_n < -1)
    fail(ErrorKind::usage, "dry_penalty_last_n is {}, allowed is -1 (everything) and more", params.dry_penalty_last_n);
  if (params.top_k < 0) fail(ErrorKind::usage, "top_k is {}, allowed is 0 (off) and more", params.top_k);
  if (params.repeat_last_n < -1)
    fail(ErrorKind::usage, "repeat_last_n is {}, allowed is -1 (everything) and more", params.repeat_last_n);
  for (const auto& [id, bias] : params.logit_bias) {
    if (id < 0 || id >= n_vocab) fail(ErrorKind::usage, "logit_bias names token {}, allowed are 0 to {}", id, n_vocab - 1);
    if (std::isnan(bias)) fail(ErrorKind::usage, "logit_bias of token {} is not a number", id);
  }
}

Sampler::Sampler(SamplingParams params, std::int64_t n_vocab, std::uint64_t sequence, std::vector<TokenId> dry_breakers)
    : params_(std::move(params)),
      sequence_(sequence),
      dry_breakers_(std::move(dry_breakers)),
      surprise_limit_(2 * static_cast<double>(params_.mirostat_tau)),
      counts_(static_cast<std::size_t>(n_vocab)) {
  check(params_, n_vocab);
}

LogitQuery Sampler::query(std::span<const TokenId> history) const {
  const bool greedy = params_.temperature == 0;
  // Both look at how all logits are spread.
  if (!greedy && (params_.mirostat != 0 || params_.top_n_sigma > 0)) return {};
  // Without top-k, typical and top-p weigh every token against the sum of all, and nothing but min-p ends the tail.
  const bool cut_by_min_p = params_.typical_p >= 1 && params_.top_p >= 1 && params_.min_p > 0;
  if (!greedy && params_.top_k == 0 && !cut_by_min_p) return {};
  LogitQuery query;
  for (const auto& [id, bias] : params_.logit_bias) query.also.push_back(id);
  const bool penalises = params_.repeat_penalty != 1 || params_.presence_penalty != 0 || params_.frequency_penalty != 0;
  if (penalises) query.also.insert(query.also.end(), window(history).begin(), window(history).end());
  for (const Repeat& repeat : repeats(history)) query.also.push_back(repeat.id);
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
  const std::uint64_t random = counter_random(params_.seed, sequence_, position);
  if (params_.mirostat != 0) return draw_mirostat(random);
  keep_top_n_sigma();
  keep_top_k();
  weigh(1.0f);
  keep_typical();
  keep_top_p();
  keep_min_p();
  exclude_top_choices(mix(random));
  weigh(temperature());
  return candidates_[draw(random)].id;
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

// The candidate at a uniformly random place of the line of all weights, laid out in descending order.
std::size_t Sampler::draw(std::uint64_t random) {
  auto place = static_cast<std::uint64_t>(static_cast<Wide>(random) * total_weight() >> 64);
  for (std::size_t i = 0;; ++i) {
    sort_prefix(i + 1);
    if (place < candidates_[i].weight || i + 1 == candidates_.size()) return i;
    place -= candidates_[i].weight;
  }
}

}  // namespace bitnet
