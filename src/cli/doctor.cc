// `bitnet doctor`: what this machine can do, and whether the kernels compute what they should.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/machine.h"
#include "cli/options.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "common/error.h"
#include "kernels/dispatch.h"

namespace bitnet::cli {
namespace {

Json isa_json() {
  Json available = Json::array(), self_tests = Json::object();
  for (const KernelTable* table : kernel_tables()) {
    available.push_back(table->name);
    const std::vector<std::string> failed = self_test(*table);
    self_tests[table->name] = {{"passed", failed.empty()}, {"failed", failed}};
  }
  return {{"available", std::move(available)}, {"selected", select_kernels().name}, {"self_test", std::move(self_tests)}};
}

Json cpu_json(const MachineCard& card) {
  return {{"model", card.cpu},
          {"logical", card.cpus.logical},
          {"physical", card.cpus.physical},
          {"quota", card.cpus.quota > 0 ? Json(card.cpus.quota) : Json(nullptr)},
          {"threads", card.cpus.threads}};
}

Json memory_json(const MachineCard& card) {
  return {{"total", card.memory_total},
          {"available", card.memory_available},
          {"cgroup_limit", card.memory_limit ? Json(*card.memory_limit) : Json(nullptr)},
          {"huge_pages", card.huge_pages},
          {"numa_nodes", card.numa_nodes}};
}

Json bandwidth_json(int threads) {
  Json rows = Json::array();
  rows.push_back({{"threads", 1}, {"bytes_per_second", measure_read_bandwidth(1)}});
  if (threads > 1) rows.push_back({{"threads", threads}, {"bytes_per_second", measure_read_bandwidth(threads)}});
  return rows;
}

// Found or not, and whether it loads: a model that is there must work.
Json model_json() {
  const std::optional<std::string> path = find_default_model();
  if (!path) return {{"path", nullptr}, {"looked_at", default_model_candidates()}, {"loads", false}, {"problem", nullptr}};
  try {
    const auto engine = open_engine({.path = *path});
    return {{"path", *path},
            {"loads", true},
            {"problem", nullptr},
            {"architecture", engine->config().architecture},
            {"weight_bytes", engine->weight_bytes()}};
  } catch (const Error& error) {
    return {{"path", *path}, {"loads", false}, {"problem", error.what()}};
  }
}

Json examine() {
  const MachineCard card = machine_card();
  Json isa = isa_json();
  bool healthy = true;
  for (const auto& [name, result] : isa["self_test"].items()) healthy = healthy && result["passed"].get<bool>();
  Json model = model_json();
  healthy = healthy && model["problem"].is_null();
  return {{"version", BITNET_VERSION},
          {"healthy", healthy},
          {"cpu", cpu_json(card)},
          {"isa", std::move(isa)},
          {"memory", memory_json(card)},
          {"read_bandwidth", bandwidth_json(card.cpus.threads)},
          {"default_model", std::move(model)}};
}

std::string row(std::string_view name, const std::string& value) { return fmt::format("{:<16}{}\n", name, value); }

std::string isa_text(const Json& isa) {
  std::string text;
  for (const auto& [name, result] : isa["self_test"].items()) {
    std::string failed;
    for (const Json& operation : result["failed"]) failed += (failed.empty() ? "" : ", ") + operation.get<std::string>();
    const bool selected = isa["selected"] == name;
    text += row(text.empty() ? "kernels" : "",
                fmt::format("{:<8} {}{}", name, failed.empty() ? "self-test passed" : "SELF-TEST FAILED: " + failed,
                            selected ? ", in use" : ""));
  }
  return text;
}

std::string model_text(const Json& model) {
  if (model["path"].is_null()) {
    std::string text;
    for (const Json& place : model["looked_at"]) {
      text += row(text.empty() ? "default model" : "",
                  (text.empty() ? "none; looked at " : "               ") + printable(place.get<std::string>(), 512));
    }
    return text;
  }
  const std::string path = printable(model["path"].get<std::string>(), 512);
  if (!model["problem"].is_null()) return row("default model", path + " DOES NOT LOAD: " + model["problem"].get<std::string>());
  return row("default model", fmt::format("{}, loads: {}, {} of weights", path, model["architecture"].get<std::string>(),
                                          byte_text(model["weight_bytes"].get<double>())));
}

std::string report_text(const Json& report) {
  const Json &cpu = report["cpu"], &memory = report["memory"];
  std::string text =
      row("bitnet", report["version"].get<std::string>()) + row("CPU", printable(cpu["model"].get<std::string>()));
  text += row("threads", fmt::format("{} chosen: {} physical cores, {} logical allowed, quota {}", cpu["threads"].get<int>(),
                                     cpu["physical"].get<int>(), cpu["logical"].get<int>(),
                                     cpu["quota"].is_null() ? "none" : fmt::format("{:.2f} CPUs", cpu["quota"].get<double>())));
  text += isa_text(report["isa"]);
  text +=
      row("memory", fmt::format("{}, {} available, cgroup limit {}", byte_text(memory["total"].get<double>()),
                                byte_text(memory["available"].get<double>()),
                                memory["cgroup_limit"].is_null() ? "none" : byte_text(memory["cgroup_limit"].get<double>())));
  text +=
      row("huge pages", memory["huge_pages"].get<std::string>().empty() ? "unknown" : memory["huge_pages"].get<std::string>());
  text += row("NUMA nodes", json_text(memory["numa_nodes"]));
  for (const Json& rate : report["read_bandwidth"]) {
    text += row("read bandwidth", fmt::format("{:.1f} GB/s with {} thread{}", rate["bytes_per_second"].get<double>() / 1e9,
                                              rate["threads"].get<int>(), rate["threads"] == 1 ? "" : "s"));
  }
  return text + model_text(report["default_model"]) + row("verdict", report["healthy"].get<bool>() ? "healthy" : "NOT HEALTHY");
}

}  // namespace

CommandBody add_doctor(CLI::App& command) {
  const auto json = std::make_shared<bool>(false);
  command.footer(
      "Every kernel is compared with the plain ones, and the default model, where there is one, is loaded.\n"
      "Exit code 1 when one of these fails.");
  command.add_flag("--json", *json, "one JSON object in place of readable text");
  return [json] {
    const Json report = examine();
    print(*json ? json_text(report, 2) + "\n" : report_text(report));
    return report["healthy"].get<bool>() ? exit_ok : exit_runtime;
  };
}

}  // namespace bitnet::cli
