// Prometheus' exposition format, version 0.0.4, under our names and under those of vLLM and llama.cpp.
#include "server/metrics.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/process_metrics.h"

namespace bitnet::server {
namespace {

void header(std::string& out, const std::string& name, const char* type, const std::string& help) {
  out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

std::string escaped(const std::string& label) {
  std::string out;
  for (const char c : label) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

SchedulerStatus sum(const std::vector<ModelStatus>& models) {
  SchedulerStatus all;
  for (const ModelStatus& model : models) {
    const SchedulerStatus& s = model.scheduler;
    all.running += s.running, all.waiting += s.waiting, all.pages_used += s.pages_used, all.pages_known += s.pages_known;
    all.pages_most += s.pages_most;
    all.finished += s.finished, all.cancelled += s.cancelled, all.refused += s.refused, all.preempted += s.preempted;
    all.failed += s.failed, all.prompt_tokens += s.prompt_tokens, all.cached_tokens += s.cached_tokens;
    all.generated_tokens += s.generated_tokens;
  }
  return all;
}

// Of the pages that there may be; 0 where memory is not limited.
double kv_use(const SchedulerStatus& s) {
  return s.pages_most > 0 ? static_cast<double>(s.pages_used) / static_cast<double>(s.pages_most) : 0;
}

// Why a request was turned away; null where it was not, or by its own fault alone.
const char* rejection(int status) {
  switch (status) {
    case 401:
      return "key";
    case 403:
      return "host_or_origin";
    case 408:
      return "too_slow";
    case 413:
    case 414:
    case 431:
      return "too_large";
    case 429:
      return "queue_full";
    case 503:
      return "unavailable";
    default:
      return nullptr;
  }
}

}  // namespace

void Histogram::add(double value) {
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  ++counts_[static_cast<std::size_t>(bound - bounds_.begin())];
  sum_ += value;
}

void Histogram::write(std::string& out, const std::string& name, const std::string& help, const std::string& labels) const {
  header(out, name, "histogram", help);
  const std::string before = labels.empty() ? "" : labels + ",", all = labels.empty() ? "" : "{" + labels + "}";
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    total += counts_[i];
    const std::string bound = i < bounds_.size() ? fmt::format("{}", bounds_[i]) : "+Inf";
    out += fmt::format("{}_bucket{{{}le=\"{}\"}} {}\n", name, before, bound, total);
  }
  out += fmt::format("{}_sum{} {}\n{}_count{} {}\n", name, all, sum_, name, all, total);
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

void Metrics::add_queue_wait(double seconds) {
  const std::lock_guard lock(mutex_);
  queue_wait_.add(seconds);
}

void Metrics::add_generation(double seconds) {
  const std::lock_guard lock(mutex_);
  generation_.add(seconds);
}

void Metrics::count_finish(const std::string& model, FinishReason reason) {
  const std::lock_guard lock(mutex_);
  ++finished_[{model, reason}];
}

std::string Metrics::text(const std::vector<ModelStatus>& models, std::int64_t connections, const HttpLimits& limits,
                          const MetricsNames& names) const {
  std::string out;
  const SchedulerStatus all = sum(models);
  const std::lock_guard lock(mutex_);
  write_own(out, all, connections, limits);
  if (names.vllm) write_vllm(out, models);
  if (names.llamacpp) {
    const auto one = [&](const char* name, const char* type, auto value) {
      header(out, name, type, "As llama.cpp names it");
      out += fmt::format("{} {}\n", name, value);
    };
    one("llamacpp:requests_processing", "gauge", all.running);
    one("llamacpp:requests_deferred", "gauge", all.waiting);
    one("llamacpp:prompt_tokens_total", "counter", all.prompt_tokens);
    one("llamacpp:tokens_predicted_total", "counter", all.generated_tokens);
    one("llamacpp:kv_cache_usage_ratio", "gauge", kv_use(all));
  }
  return out + process_metrics();
}

void Metrics::write_own(std::string& out, const SchedulerStatus& s, std::int64_t connections, const HttpLimits& limits) const {
  const auto one = [&](const char* name, const char* type, const char* help, auto value) {
    header(out, name, type, help);
    out += fmt::format("{} {}\n", name, value);
  };
  header(out, "bitnet_build_info", "gauge", "What runs");
  out += "bitnet_build_info{version=\"" BITNET_VERSION "\"} 1\n";
  one("bitnet_sequences_running", "gauge", "Sequences in the batch", s.running);
  one("bitnet_sequences_waiting", "gauge", "Sequences in the queue", s.waiting);
  one("bitnet_kv_pages_used", "gauge", "Pages of 64 positions of keys and values in use, the prefix cache's included",
      s.pages_used);
  one("bitnet_kv_pages_most", "gauge", "Pages that there may be; 0 = no limit", s.pages_most);
  one("bitnet_kv_use_ratio", "gauge", "Pages in use of those that there may be; 0 without a limit", kv_use(s));
  one("bitnet_prefix_cache_pages", "gauge", "Pages that the prefix cache holds", s.pages_known);
  one("bitnet_connections", "gauge", "Open connections", connections);
  one("bitnet_sequences_finished_total", "counter", "Sequences that ended, for whatever reason", s.finished);
  one("bitnet_cancelled_total", "counter", "Sequences whose client left or cancelled", s.cancelled);
  one("bitnet_preempted_total", "counter", "Times a sequence gave its memory up to be computed again", s.preempted);
  one("bitnet_failed_total", "counter", "Sequences that ended with an error", s.failed);
  one("bitnet_prompt_tokens_total", "counter", "Prompt tokens computed", s.prompt_tokens);
  one("bitnet_prompt_tokens_cached_total", "counter", "Prompt tokens found in the prefix cache", s.cached_tokens);
  one("bitnet_generated_tokens_total", "counter", "Tokens generated", s.generated_tokens);
  header(out, "bitnet_http_requests_total", "counter", "Answered requests by route and status");
  std::map<std::string, std::uint64_t> rejected;
  for (const auto& [key, count] : requests_) {
    out += fmt::format("bitnet_http_requests_total{{route=\"{}\",status=\"{}\"}} {}\n", key.first, key.second, count);
    if (const char* reason = rejection(key.second)) rejected[reason] += count;
  }
  header(out, "bitnet_rejected_total", "counter", "Requests that were turned away");
  for (const char* reason : {"host_or_origin", "key", "queue_full", "too_large", "too_slow", "unavailable"})
    out += fmt::format("bitnet_rejected_total{{reason=\"{}\"}} {}\n", reason, rejected[reason]);
  header(out, "bitnet_limit", "gauge", "Bounds of what is taken");
  const std::pair<const char*, std::uint64_t> bounds[] = {
      {"body_bytes", limits.body_bytes},
      {"header_bytes", limits.header_bytes},
      {"target_bytes", limits.target_bytes},
      {"headers", limits.headers},
      {"connections", static_cast<std::uint64_t>(limits.connections)},
      {"connections_per_address", static_cast<std::uint64_t>(limits.connections_per_address)}};
  for (const auto& [name, value] : bounds) out += fmt::format("bitnet_limit{{of=\"{}\"}} {}\n", name, value);
  first_token_.write(out, "bitnet_time_to_first_token_seconds", "From a streamed request's arrival to its first piece");
  between_tokens_.write(out, "bitnet_inter_token_seconds", "Between pieces of a stream");
  queue_wait_.write(out, "bitnet_queue_wait_seconds", "From a sequence's arrival to the beginning of its prompt");
  generation_.write(out, "bitnet_generation_seconds", "From the arrival to the end of requests that generated");
}

// By model, as routers of vLLM's servers read them.
void Metrics::write_vllm(std::string& out, const std::vector<ModelStatus>& models) const {
  const auto each = [&](const std::string& name, const char* type, auto value) {
    header(out, "vllm:" + name, type, "As vLLM names it");
    for (const ModelStatus& model : models)
      out += fmt::format("vllm:{}{{model_name=\"{}\"}} {}\n", name, escaped(model.name), value(model.scheduler));
  };
  using Status = const SchedulerStatus&;
  const auto asked = [](Status s) { return s.prompt_tokens + s.cached_tokens; };
  const auto found = [](Status s) { return s.cached_tokens; };
  each("num_requests_running", "gauge", [](Status s) { return s.running; });
  each("num_requests_waiting", "gauge", [](Status s) { return s.waiting; });
  each("kv_cache_usage_perc", "gauge", kv_use);
  each("gpu_cache_usage_perc", "gauge", kv_use);
  each("prefix_cache_queries_total", "counter", asked);
  each("prefix_cache_hits_total", "counter", found);
  each("gpu_prefix_cache_queries_total", "counter", asked);
  each("gpu_prefix_cache_hits_total", "counter", found);
  each("gpu_prefix_cache_hit_rate", "gauge",
       [&](Status s) { return asked(s) == 0 ? 0.0 : static_cast<double>(found(s)) / static_cast<double>(asked(s)); });
  each("num_preemptions_total", "counter", [](Status s) { return s.preempted; });
  each("prompt_tokens_total", "counter", asked);
  each("generation_tokens_total", "counter", [](Status s) { return s.generated_tokens; });
  header(out, "vllm:request_success_total", "counter", "As vLLM names it");
  for (const ModelStatus& model : models) {
    const auto count = [&](FinishReason reason) {
      const auto found = finished_.find({model.name, reason});
      return found == finished_.end() ? 0 : found->second;
    };
    // vLLM has no limit of time: what that cut off counts as cut off by length.
    const std::pair<const char*, std::uint64_t> rows[] = {
        {"stop", count(FinishReason::stop)},
        {"length", count(FinishReason::length) + count(FinishReason::deadline)},
        {"abort", count(FinishReason::cancelled)}};
    for (const auto& [reason, number] : rows)
      out += fmt::format("vllm:request_success_total{{model_name=\"{}\",finished_reason=\"{}\"}} {}\n", escaped(model.name),
                         reason, number);
  }
  // Times are measured over all models; the first stands for them.
  const std::string label = fmt::format("model_name=\"{}\"", models.empty() ? "" : escaped(models.front().name));
  first_token_.write(out, "vllm:time_to_first_token_seconds", "As vLLM names it", label);
  between_tokens_.write(out, "vllm:inter_token_latency_seconds", "As vLLM names it", label);
  queue_wait_.write(out, "vllm:request_queue_time_seconds", "As vLLM names it", label);
  generation_.write(out, "vllm:e2e_request_latency_seconds", "As vLLM names it", label);
}

}  // namespace bitnet::server
