// Windows, means with their errors, percentiles.
#include "inference/quality.h"

#include <algorithm>
#include <cmath>

#include "common/error.h"
#include "kernels/elementary.h"

namespace bitnet {
namespace {

constexpr double percents[] = {0, 0.1, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9, 100};

std::vector<Percentile> percentiles(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  std::vector<Percentile> found;
  for (const double percent : percents) found.push_back({percent, percentile(values, percent / 100)});
  return found;
}

void check(const TextCut& cut) {
  if (cut.ctx < 3) fail(ErrorKind::usage, "ctx is {}, at least 3 tokens are needed to score one", cut.ctx);
  if (cut.stride < 0) fail(ErrorKind::usage, "stride is {}, allowed are 0 (none) and more", cut.stride);
  if (cut.window() <= cut.stride) {
    fail(ErrorKind::usage, "stride is {}, which leaves no context in a window of ctx {} + {}", cut.stride, cut.ctx,
         cut.stride / 2);
  }
  if (cut.most < -1 || cut.most == 0) fail(ErrorKind::usage, "chunks is {}, allowed are -1 (all) and 1 or more", cut.most);
}

}  // namespace

std::vector<TextWindow> text_windows(std::int64_t n_tokens, const TextCut& cut) {
  check(cut);
  const std::int64_t window = cut.window();
  if (n_tokens < 2 * window) {
    fail(ErrorKind::usage, "the text has {} tokens, at least {} are needed: two windows of {}", n_tokens, 2 * window, window);
  }
  const std::int64_t step = cut.stride > 0 ? cut.stride : window;
  const std::int64_t first = cut.stride > 0 ? window - cut.stride : cut.ctx / 2 + 1;
  std::int64_t count = cut.stride > 0 ? (n_tokens - window + step - 1) / step : n_tokens / window;
  if (cut.most > 0) count = std::min(count, cut.most);
  std::vector<TextWindow> windows;
  for (std::int64_t i = 0; i < count; ++i) windows.push_back({i * step, i * step + window, first});
  return windows;
}

Estimate exp_of(const Estimate& x) {
  const double value = exp_f64(x.value);
  return {value, value * x.error};
}

Estimate Mean::estimate() const {
  const auto n = static_cast<double>(count_);
  const double mean = sum_ / n, variance = squares_ / n - mean * mean;
  return {mean, count_ > 1 && variance > 0 ? std::sqrt(variance / (n - 1)) : 0};
}

double percentile(std::span<const double> ascending, double fraction) {
  const double place = fraction * static_cast<double>(ascending.size() - 1);
  const auto below = std::min(static_cast<std::size_t>(place), ascending.size() - 1);
  const double rest = place - static_cast<double>(below), low = ascending[below];
  if (rest == 0) return low;
  return (1 - rest) * low + rest * ascending[std::min(below + 1, ascending.size() - 1)];
}

void DivergenceStatistics::add(const TokenComparison& token) {
  const double p_nll = -token.p_log_probability, q_nll = -token.q_log_probability;
  const double delta = exp_f64(-q_nll) - exp_f64(-p_nll);
  p_nll_.add(p_nll), q_nll_.add(q_nll), nll_product_ += p_nll * q_nll;
  divergence_.add(token.divergence), divergences_.push_back(token.divergence);
  delta_.add(delta), delta_square_.add(delta * delta), deltas_.push_back(delta);
  same_top_.add(token.same_top ? 1 : 0);
}

DivergenceSummary DivergenceStatistics::summary() const {
  DivergenceSummary s;
  s.tokens = count();
  const auto n = static_cast<double>(s.tokens);
  const Estimate p = p_nll_.estimate(), q = q_nll_.estimate(), square = delta_square_.estimate();
  s.p_perplexity = exp_of(p), s.q_perplexity = exp_of(q);
  // Both models saw the same tokens, so most of the errors cancels in the ratio.
  const double covariance = s.tokens > 1 ? (nll_product_ / n - p.value * q.value) / (n - 1) : 0;
  s.correlation = p.error > 0 && q.error > 0 ? covariance / (p.error * q.error) : 0;
  const double variance = p.error * p.error + q.error * q.error - 2 * covariance;
  s.log_ratio = {q.value - p.value, variance > 0 ? std::sqrt(variance) : 0};
  s.ratio = exp_of(s.log_ratio);
  s.divergence = divergence_.estimate(), s.divergences = percentiles(divergences_);
  s.delta = delta_.estimate(), s.deltas = percentiles(deltas_);
  const double rms = std::sqrt(square.value);
  s.delta_rms = {rms, rms > 0 ? square.error / (2 * rms) : 0};
  s.same_top = same_top_.estimate();
  return s;
}

}  // namespace bitnet
