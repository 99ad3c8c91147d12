// Running estimates of costs and of how often drafts come true.
#include "inference/draft_policy.h"

#include <algorithm>

namespace bitnet {
namespace {

constexpr double first_slope = 0.15;  // cost of a draft in steps, before any was measured
constexpr double hoped_slope = 0.04;  // what a draft costs at best: measured costs that are higher may have been bad luck
constexpr double least_gain = 1.03;   // over decoding without drafts
constexpr int steps_between_plain = 64;
constexpr int first_patience = 32, most_patience = 512;
constexpr int early_patience = 4;  // while a cost was measured less than `enough` times: the first step may pay for cold memory
constexpr std::size_t enough = 3;
constexpr double memory = 64;  // trials of one rate after which the older ones count half

// Drafts of unknown origin, then by agreement of 2, 3, 4, 8 and 16 tokens: the rates before anything was seen.
constexpr double first_rates[] = {0.5, 0.15, 0.3, 0.5, 0.7, 0.8};
constexpr double first_trials = 4;

}  // namespace

void StepCosts::Recent::add(double value) {
  if (values_.size() < most_) {
    values_.push_back(value);
  } else {
    values_[next_] = value;
  }
  next_ = (next_ + 1) % most_;
}

double StepCosts::Recent::typical() const {
  std::vector<double> sorted = values_;
  std::sort(sorted.begin(), sorted.end());
  return sorted[(sorted.size() - 1) / 4];
}

void StepCosts::record(std::size_t drafts, double seconds) {
  if (drafts == 0) {
    plain_.add(seconds);
  } else if (known()) {
    ratios_[drafts - 1].add(seconds / plain_.typical());
  }
}

double StepCosts::ratio(std::size_t drafts) const {
  std::size_t below = 0, above = 0;  // the nearest that were measured
  for (std::size_t d = 1; d <= most_measured_drafts; ++d) {
    if (ratios_[d - 1].count() == 0) continue;
    if (d <= drafts) below = d;
    if (d >= drafts && above == 0) above = d;
  }
  const auto at = [&](std::size_t d) { return d == 0 ? 1.0 : ratios_[d - 1].typical(); };
  if (above == below && above != 0) return at(drafts);
  if (above != 0) {
    const double share = static_cast<double>(drafts - below) / static_cast<double>(above - below);
    return at(below) + share * (at(above) - at(below));
  }
  const double slope = below == 0 ? first_slope : (at(below) - 1) / static_cast<double>(below);
  return at(below) + std::max(slope, 0.0) * static_cast<double>(drafts - below);
}

DraftPolicy::DraftPolicy(StepCosts& costs) : costs_(costs), patience_(first_patience) {
  for (std::size_t kind = 0; kind < kinds; ++kind) {
    for (std::size_t place = 0; place < most_measured_drafts; ++place) {
      // Where the first came true the next ones are likelier.
      const double rate = place == 0 ? first_rates[kind] : 0.5 + 0.5 * first_rates[kind];
      rates_[kind][place] = {rate * first_trials, first_trials};
    }
  }
}

std::size_t DraftPolicy::kind_of(const Draft& draft) {
  if (draft.matched == 0) return 0;
  return draft.matched <= 2 ? 1 : draft.matched == 3 ? 2 : draft.matched < 8 ? 3 : draft.matched < 16 ? 4 : 5;
}

double DraftPolicy::expected_tokens(std::size_t kind, std::size_t drafts) const {
  double tokens = 1, all_true = 1;
  for (std::size_t place = 0; place < drafts; ++place) {
    all_true *= rates_[kind][place].value();
    tokens += all_true;
  }
  return tokens;
}

std::size_t DraftPolicy::choose(const Draft& draft) {
  watch(draft);
  const std::size_t most = std::min(draft.ids.size(), most_measured_drafts), kind = kind_of(draft);
  if (most == 0 || !costs_.known()) return 0;
  std::size_t best = 0, hoped = 0;
  double best_gain = least_gain, hoped_gain = least_gain;
  for (std::size_t drafts = 1; drafts <= most; ++drafts) {
    const double tokens = expected_tokens(kind, drafts);
    const double gain = tokens / costs_.ratio(drafts), hope = tokens / (1 + hoped_slope * static_cast<double>(drafts));
    if (gain > best_gain) best = drafts, best_gain = gain;
    if (hope > hoped_gain) hoped = drafts, hoped_gain = hope;
  }
  if (best > 0 && since_plain_ < steps_between_plain) {
    patience_ = first_patience;
    return best;
  }
  if (best > 0 || hoped == 0) return 0;
  const bool early = costs_.measured(hoped) < enough;
  if (++refused_ < (early ? early_patience : patience_)) return 0;
  refused_ = 0;
  if (!early) patience_ = std::min(2 * patience_, most_patience);
  return hoped;
}

void DraftPolicy::took(std::size_t drafts, double seconds) {
  costs_.record(drafts, seconds);
  since_plain_ = drafts == 0 ? 0 : since_plain_ + 1;
}

// One draft at a time, to its first mistake.
void DraftPolicy::watch(const Draft& draft) {
  if (watched_at_ < watched_.ids.size()) return;
  watched_ = draft, watched_at_ = 0;
  watched_.ids.resize(std::min(draft.ids.size(), most_measured_drafts));
}

void DraftPolicy::saw(TokenId id) {
  if (watched_at_ >= watched_.ids.size()) return;
  const bool hit = watched_.ids[watched_at_] == id;
  Rate& rate = rates_[kind_of(watched_)][watched_at_];
  rate.hits += hit ? 1 : 0, rate.trials += 1;
  if (rate.trials > memory) rate.hits /= 2, rate.trials /= 2;
  watched_at_ = hit ? watched_at_ + 1 : watched_.ids.size();
}

}  // namespace bitnet
