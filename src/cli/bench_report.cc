// Statistics and output forms of the benchmark.
#include "cli/bench_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/error.h"

namespace bitnet::cli {
namespace {

double gigabytes(const BenchRow& row) { return static_cast<double>(row.bytes_per_token.value_or(0)) * mean(row.samples) / 1e9; }

Json share(std::int64_t part, std::int64_t all) {
  return all == 0 ? Json(nullptr) : Json(static_cast<double>(part) / static_cast<double>(all));
}

std::string percent(std::int64_t part, std::int64_t all) {
  return fmt::format("{:.0f} %", 100 * static_cast<double>(part) / static_cast<double>(all));
}

// Of each test, where the machine says it.
std::string energy_text(const std::vector<BenchRow>& rows) {
  std::string text;
  for (const BenchRow& row : rows) {
    if (row.joules_per_token) text += fmt::format("{}{} {:.3f} J", text.empty() ? "" : ", ", row.test, *row.joules_per_token);
  }
  return text.empty() ? "" : fmt::format("\nprocessor energy per token: {}\n", text);
}

// What sparsity there was in the tests that generate, all together.
std::string zeros_text(const std::vector<BenchRow>& rows) {
  HiddenZeros z;
  for (const BenchRow& row : rows) z += row.zeros;
  if (z.values == 0) return "";
  std::string text = fmt::format("\nfeed-forward: {} of the gates closed", percent(z.closed_gates, z.values));
  if (z.looked_at != 0) text += fmt::format(", {} of down's inputs zero", percent(z.zeros, z.looked_at));
  const SparseLimits limits = rows.back().sparse_limits;
  return text + fmt::format("; weights left unread: {}, as it pays up to {:.0f} % of rows, {:.0f} % of columns\n",
                            byte_text(static_cast<double>(z.bytes_skipped)), 100 * limits.rows, 100 * limits.columns);
}

Json row_json(const BenchSubject& s, const BenchRow& row) {
  Json json = {{"test", row.test},
               {"prompt_tokens", row.prompt},
               {"generated_tokens", row.generated},
               {"depth", row.depth},
               {"sequences", row.sequences},
               {"threads", row.threads},
               {"unit", "tok/s"},
               {"samples", row.samples},
               {"mean", mean(row.samples)},
               {"median", median(row.samples)},
               {"stddev", standard_deviation(row.samples)}};
  json["bytes_per_token"] = row.bytes_per_token ? Json(*row.bytes_per_token) : Json(nullptr);
  json["gb_per_second"] = row.bytes_per_token ? Json(gigabytes(row)) : Json(nullptr);
  json["joules_per_token"] = row.joules_per_token ? Json(*row.joules_per_token) : Json(nullptr);
  json["closed_gates"] = share(row.zeros.closed_gates, row.zeros.values);
  json["hidden_zeros"] = share(row.zeros.zeros, row.zeros.looked_at);
  json["read_bandwidth_gb_per_second"] = row.read_bandwidth / 1e9;
  json["model"] = s.model, json["architecture"] = s.architecture, json["weight_bytes"] = s.weight_bytes;
  json["isa"] = s.isa, json["kv"] = s.kv, json["version"] = BITNET_VERSION;
  json["cpu"] = s.machine.cpu, json["physical_cores"] = s.machine.cpus.physical, json["logical_cpus"] = s.machine.cpus.logical;
  return json;
}

std::string bandwidth_text(const BenchRow& row) {
  if (!row.bytes_per_token) return "";
  return fmt::format("{:.2f} of {:.2f}", gigabytes(row), row.read_bandwidth / 1e9);
}

std::string markdown(const BenchSubject& s, const std::vector<BenchRow>& rows) {
  std::string text = fmt::format("{}: {}, {} of weights, cache {}\n{}: {} physical cores, kernels {}, bitnet {}\n\n",
                                 printable(s.model, 512), s.architecture, byte_text(static_cast<double>(s.weight_bytes)), s.kv,
                                 printable(s.machine.cpu), s.machine.cpus.physical, s.isa, BITNET_VERSION);
  text += fmt::format("| {:<14} | {:>7} | {:>18} | {:>9} | {:>12} | {:>16} |\n", "test", "threads", "tok/s", "median",
                      "MB per token", "GB/s of measured");
  text += fmt::format("|{:-<16}|{:->8}:|{:->19}:|{:->10}:|{:->13}:|{:->17}:|\n", "", "", "", "", "", "");
  for (const BenchRow& row : rows) {
    text += fmt::format(
        "| {:<14} | {:>7} | {:>18} | {:>9.2f} | {:>12} | {:>16} |\n", row.test, row.threads,
        fmt::format("{:.2f} +- {:.2f}", mean(row.samples), standard_deviation(row.samples)), median(row.samples),
        row.bytes_per_token ? fmt::format("{:.1f}", static_cast<double>(*row.bytes_per_token) / 1e6) : "", bandwidth_text(row));
  }
  return text + zeros_text(rows) + energy_text(rows);
}

// A field of CSV: quoted when it has to be (RFC 4180).
std::string csv_field(const Json& value) {
  if (value.is_null()) return "";
  if (value.is_array()) {
    std::string joined;
    for (const Json& entry : value) joined += (joined.empty() ? "" : " ") + json_text(entry);
    return joined;
  }
  if (!value.is_string()) return json_text(value);
  std::string text = value.get<std::string>();
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  for (std::size_t at = 0; (at = text.find('"', at)) != std::string::npos; at += 2) text.insert(at, 1, '"');
  return fmt::format("\"{}\"", text);
}

std::string csv(const BenchSubject& s, const std::vector<BenchRow>& rows) {
  std::string text;
  for (const BenchRow& row : rows) {
    std::string names, values;
    const Json json = row_json(s, row);
    for (const auto& [name, value] : json.items()) {
      names.append(names.empty() ? "" : ",").append(name);
      values.append(values.empty() ? "" : ",").append(csv_field(value));
    }
    if (text.empty()) text = names + "\n";
    text += values + "\n";
  }
  return text;
}

}  // namespace

double mean(const std::vector<double>& samples) {
  return std::accumulate(samples.begin(), samples.end(), 0.0) / static_cast<double>(samples.size());
}

double median(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const std::size_t half = samples.size() / 2;
  return samples.size() % 2 == 1 ? samples[half] : (samples[half - 1] + samples[half]) / 2;
}

double standard_deviation(const std::vector<double>& samples) {
  if (samples.size() < 2) return 0;
  const double center = mean(samples);
  double sum = 0;
  for (const double sample : samples) sum += (sample - center) * (sample - center);
  return std::sqrt(sum / static_cast<double>(samples.size() - 1));
}

std::string bench_report(const std::string& format, const BenchSubject& subject, const std::vector<BenchRow>& rows) {
  if (format == "md") return markdown(subject, rows);
  if (format == "csv") return csv(subject, rows);
  Json all = Json::array();
  std::string lines;
  for (const BenchRow& row : rows) {
    all.push_back(row_json(subject, row));
    lines += json_text(all.back()) + "\n";
  }
  return format == "jsonl" ? lines : json_text(all, 2) + "\n";
}

}  // namespace bitnet::cli
