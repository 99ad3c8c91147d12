// Prometheus' exposition format, version 0.0.4.
#include "server/metrics.h"

#include <fmt/format.h>

#include <algorithm>

namespace bitnet::server {
namespace {

void header(std::string& out, const std::string& name, const char* type, const std::string& help) {
  out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

SchedulerStatus sum(const std::vector<ModelStatus>& models) {
  SchedulerStatus all;
  for (const ModelStatus& model : models) {
    const SchedulerStatus& s = model.scheduler;
    all.running += s.running, all.waiting += s.waiting, all.pages_used += s.pages_used, all.pages_known += s.pages_known;
    all.finished += s.finished, all.cancelled += s.cancelled, all.refused += s.refused, all.preempted += s.preempted;
    all.failed += s.failed, all.prompt_tokens += s.prompt_tokens, all.cached_tokens += s.cached_tokens;
    all.generated_tokens += s.generated_tokens;
  }
  return all;
}

}  // namespace

void Histogram::add(double value) {
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  ++counts_[static_cast<std::size_t>(bound - bounds_.begin())];
  sum_ += value;
}

void Histogram::write(std::string& out, const std::string& name, const std::string& help) const {
  header(out, name, "histogram", help);
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    total += counts_[i];
    const std::string bound = i < bounds_.size() ? fmt::format("{}", bounds_[i]) : "+Inf";
    out += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name, bound, total);
  }
  out += fmt::format("{}_sum {}\n{}_count {}\n", name, sum_, name, total);
}

void Metrics::count_request(const std::string& route, int status) {
  const std::lock_guard lock(mutex_);
  ++requests_[{route, status}];
}

void Metrics::add_first_token(double seconds) {
  const std::lock_guard lock(mutex_);
  first_token_.add(seconds);
}

void Metrics::add_between_tokens(double seconds) {
  const std::lock_guard lock(mutex_);
  between_tokens_.add(seconds);
}

std::string Metrics::text(const std::vector<ModelStatus>& models, std::int64_t connections) const {
  std::string out;
  const SchedulerStatus s = sum(models);
  const auto one = [&](const char* name, const char* type, const char* help, auto value) {
    header(out, name, type, help);
    out += fmt::format("{} {}\n", name, value);
  };
  one("bitnet_sequences_running", "gauge", "Sequences in the batch", s.running);
  one("bitnet_sequences_waiting", "gauge", "Sequences in the queue", s.waiting);
  one("bitnet_kv_pages_used", "gauge", "Pages of 64 positions of keys and values in use, the prefix cache's included",
      s.pages_used);
  one("bitnet_prefix_cache_pages", "gauge", "Pages that the prefix cache holds", s.pages_known);
  one("bitnet_connections", "gauge", "Open connections", connections);
  one("bitnet_sequences_finished_total", "counter", "Sequences that ended, for whatever reason", s.finished);
  one("bitnet_cancelled_total", "counter", "Sequences whose client left or cancelled", s.cancelled);
  one("bitnet_rejected_total", "counter", "Sequences that found the queue full", s.refused);
  one("bitnet_preempted_total", "counter", "Times a sequence gave its memory up to be computed again", s.preempted);
  one("bitnet_failed_total", "counter", "Sequences that ended with an error", s.failed);
  one("bitnet_prompt_tokens_total", "counter", "Prompt tokens computed", s.prompt_tokens);
  one("bitnet_prompt_tokens_cached_total", "counter", "Prompt tokens found in the prefix cache", s.cached_tokens);
  one("bitnet_generated_tokens_total", "counter", "Tokens generated", s.generated_tokens);
  const std::lock_guard lock(mutex_);
  header(out, "bitnet_http_requests_total", "counter", "Answered requests by route and status");
  for (const auto& [key, count] : requests_)
    out += fmt::format("bitnet_http_requests_total{{route=\"{}\",status=\"{}\"}} {}\n", key.first, key.second, count);
  first_token_.write(out, "bitnet_time_to_first_token_seconds", "From a streamed request's arrival to its first piece");
  between_tokens_.write(out, "bitnet_inter_token_seconds", "Between pieces of a stream");
  return out;
}

}  // namespace bitnet::server
