// Reads the machine card from /proc and /sys of Linux.
#include "cli/machine.h"

#include <filesystem>
#include <fstream>

#include "cli/options.h"

namespace bitnet::cli {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The text behind the colon of the first line that begins with `name`.
std::string field(const std::string& path, std::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (!line.starts_with(name) || colon == std::string::npos) continue;
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

// "16316420 kB" of /proc/meminfo in bytes.
std::uint64_t memory_field(std::string_view name) {
  const std::string text = field("/proc/meminfo", name);
  return static_cast<std::uint64_t>(parse_integer(text.substr(0, text.find(' '))).value_or(0)) * 1024;
}

// The tightest limit from this process's group up to the root of the hierarchy; version 2 first, else version 1.
std::optional<std::uint64_t> memory_limit() {
  std::optional<std::uint64_t> tightest;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const bool v2 = line.starts_with("0::"), v1 = line.find(":memory:") != std::string::npos;
    if (!v1 && !v2) continue;
    std::string group = line.substr(line.rfind(':') + 1);
    const std::string mount = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory",
                      file = v2 ? "/memory.max" : "/memory.limit_in_bytes";
    while (true) {
      const auto limit = parse_integer(first_line(mount + (group == "/" ? "" : group) + file));
      // Version 1 writes its "no limit" as a number near 2^63.
      if (limit && *limit < std::int64_t{1} << 60 && (!tightest || static_cast<std::uint64_t>(*limit) < *tightest)) {
        tightest = *limit;
      }
      if (group.empty() || group == "/") break;
      group.erase(group.rfind('/'));
    }
  }
  return tightest;
}

// "always [madvise] never": the word in brackets.
std::string huge_page_setting() {
  const std::string line = first_line("/sys/kernel/mm/transparent_hugepage/enabled");
  const std::size_t open = line.find('['), close = line.find(']');
  return open == std::string::npos || close == std::string::npos ? "" : line.substr(open + 1, close - open - 1);
}

int numa_node_count() {
  int count = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator it("/sys/devices/system/node", error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with("node") && parse_integer(name.substr(4))) ++count;
  }
  return count > 0 ? count : 1;
}

}  // namespace

MachineCard machine_card() {
  MachineCard card;
  card.cpu = field("/proc/cpuinfo", "model name");
  if (card.cpu.empty()) card.cpu = "unknown";
  card.cpus = cpu_budget();
  card.memory_total = memory_field("MemTotal");
  card.memory_available = memory_field("MemAvailable");
  card.memory_limit = memory_limit();
  card.huge_pages = huge_page_setting();
  card.numa_nodes = numa_node_count();
  return card;
}

}  // namespace bitnet::cli
