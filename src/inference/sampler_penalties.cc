// What the sampler does to logits before it looks at probabilities: bias, penalties for recent tokens, DRY.
#include <algorithm>
#include <cmath>

#include "common/error.h"
#include "inference/sampler.h"
#include "kernels/elementary.h"

namespace bitnet {

std::span<const TokenId> Sampler::window(std::span<const TokenId> history) const {
  const auto most = params_.repeat_last_n < 0 ? history.size() : static_cast<std::size_t>(params_.repeat_last_n);
  return history.last(std::min(history.size(), most));
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
  for (const Repeat& repeat : repeats(history)) {
    if (float* logit = find(repeat.id)) *logit -= repeat.penalty;
  }
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

bool Sampler::is_breaker(TokenId id) const { return std::binary_search(dry_breakers_.begin(), dry_breakers_.end(), id); }

// The tokens that stood behind earlier occurrences of what the history ends with. How long each occurrence is comes from the Z
// function (Gusfield, 1997) of the history read backwards: lengths[k] tokens before position k from the end equal the last
// ones.
std::vector<Sampler::Repeat> Sampler::repeats(std::span<const TokenId> history) const {
  std::vector<Repeat> found;
  if (params_.dry_multiplier == 0) return found;
  const auto most = params_.dry_penalty_last_n < 0 ? history.size() : static_cast<std::size_t>(params_.dry_penalty_last_n);
  const std::vector<TokenId> back(history.rbegin(),
                                  history.rbegin() + static_cast<std::ptrdiff_t>(std::min(most, history.size())));
  const auto breaker = std::find_if(back.begin(), back.end(), [&](TokenId id) { return is_breaker(id); });
  const auto limit = static_cast<std::size_t>(breaker - back.begin());
  std::vector<std::size_t> lengths(back.size());
  for (std::size_t k = 1, left = 0, right = 0; k < back.size(); ++k) {
    std::size_t& length = lengths[k];
    if (k < right) length = std::min(right - k, lengths[k - left]);
    while (k + length < back.size() && back[length] == back[k + length]) ++length;
    if (k + length > right) left = k, right = k + length;
  }
  const auto allowed = static_cast<std::size_t>(params_.dry_allowed_length);
  const double log_base = log_f64(static_cast<double>(params_.dry_base));
  for (std::size_t k = 1; k < back.size(); ++k) {
    const std::size_t length = std::min(lengths[k], limit);
    if (length < allowed || is_breaker(back[k - 1])) continue;
    const double growth = std::min(static_cast<double>(length - allowed) * log_base, 80.0);  // finite as a float
    found.push_back({back[k - 1], static_cast<float>(static_cast<double>(params_.dry_multiplier) * exp_f64(growth))});
  }
  // Of each token the longest repeat counts.
  std::sort(found.begin(), found.end(),
            [](const Repeat& a, const Repeat& b) { return a.id != b.id ? a.id < b.id : a.penalty > b.penalty; });
  found.erase(std::unique(found.begin(), found.end(), [](const Repeat& a, const Repeat& b) { return a.id == b.id; }),
              found.end());
  return found;
}

}  // namespace bitnet
