// Benchmark results as a table, CSV or JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/machine.h"
#include "cli/report.h"
#include "inference/hidden_zeros.h"

namespace bitnet::cli {

struct BenchRow {
  std::string test;  // "pp512", "tg128", "tg128@d1024"
  std::int64_t prompt = 0, generated = 0, depth = 0;
  std::int64_t sequences = 1;  // that generate together
  int threads = 1;
  std::vector<double> samples = {};  // tokens per second of each repetition
  // Read per generated token; absent for prompts, whose tokens share the reading.
  std::optional<std::uint64_t> bytes_per_token = {};
  std::optional<double> joules_per_token = {};  // of the processor packages; absent where they can not be read
  SparseLimits sparse_limits = {};
  HiddenZeros zeros = {};     // of the feed-forwards while it ran
  double read_bandwidth = 0;  // bytes per second this machine reads with these threads
};

struct BenchSubject {
  std::string model, architecture, isa, kv;
  std::uint64_t weight_bytes = 0;
  MachineCard machine;
};

double mean(const std::vector<double>& samples);
double median(std::vector<double> samples);
double standard_deviation(const std::vector<double>& samples);  // of the sample, n - 1; 0 for one sample

// `format` is md, csv, json or jsonl.
std::string bench_report(const std::string& format, const BenchSubject& subject, const std::vector<BenchRow>& rows);

}  // namespace bitnet::cli
