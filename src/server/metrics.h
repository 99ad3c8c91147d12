// Metrics: what the server counts and measures, written in Prometheus' text format.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "inference/model_set.h"
#include "server/http_server.h"

namespace bitnet::server {

// Counts of values up to each bound, and their sum. Not thread safe.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}
  void add(double value);
  // `labels`: as in braces, "" or "a=\"b\"".
  void write(std::string& out, const std::string& name, const std::string& help, const std::string& labels = {}) const;

 private:
  std::vector<double> bounds_;
  std::vector<std::uint64_t> counts_;
  double sum_ = 0;
};

// Under whose names the same numbers are given once more, for what scrapes these servers.
struct MetricsNames {
  bool vllm = false, llamacpp = false;
};

// All members are safe from any thread.
class Metrics {
 public:
  // An answered request, by its endpoint, and why it was turned away if it was.
  void count_request(const std::string& route, int status);
  void add_first_token(double seconds);                              // from the request's arrival
  void add_between_tokens(double seconds);                           // of one stream
  void add_queue_wait(double seconds);                               // of one sequence, until its prompt was begun
  void add_generation(double seconds);                               // a request that generated, from its arrival to its end
  void count_finish(const std::string& model, FinishReason reason);  // a sequence that ended without an error

  // What schedulers count is given as the sum over all models; under others' names by model.
  std::string text(const std::vector<ModelStatus>& models, std::int64_t connections, const HttpLimits& limits,
                   const MetricsNames& names) const;

 private:
  void write_own(std::string& out, const SchedulerStatus& sum, std::int64_t connections, const HttpLimits& limits) const;
  void write_vllm(std::string& out, const std::vector<ModelStatus>& models) const;

  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, std::uint64_t> requests_;
  std::map<std::pair<std::string, FinishReason>, std::uint64_t> finished_;  // by the model's name
  static std::vector<double> seconds() { return {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120}; }
  Histogram first_token_{seconds()}, between_tokens_{seconds()}, queue_wait_{seconds()}, generation_{seconds()};
};

}  // namespace bitnet::server
