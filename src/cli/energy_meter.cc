// Reads RAPL's counters from files.
#include "cli/energy_meter.h"

#include <filesystem>
#include <fstream>

#include "cli/options.h"

namespace bitnet::cli {
namespace {

std::string first_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

EnergyMeter::EnergyMeter() {
  std::error_code error;
  for (std::filesystem::directory_iterator it("/sys/class/powercap", error), end; !error && it != end; it.increment(error)) {
    const std::filesystem::path& zone = it->path();
    if (!first_line(zone / "name").starts_with("package-")) continue;  // its cores and others are zones of their own
    const auto range = parse_integer(first_line(zone / "max_energy_range_uj")),
               now = parse_integer(first_line(zone / "energy_uj"));
    if (range && now) counters_.push_back({(zone / "energy_uj").string(), *range, *now});
  }
}

std::optional<double> EnergyMeter::lap() {
  double microjoules = 0;
  bool whole = !counters_.empty();
  for (Counter& counter : counters_) {
    const auto now = parse_integer(first_line(counter.file));
    whole = whole && now.has_value();
    if (!now) continue;
    microjoules += static_cast<double>(*now - counter.last + (*now < counter.last ? counter.range : 0));
    counter.last = *now;
  }
  return whole ? std::optional(microjoules / 1e6) : std::nullopt;
}

}  // namespace bitnet::cli
