// What this machine is: CPU, memory and its limits, page sizes, NUMA nodes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/cpu_set.h"

namespace bitnet::cli {

struct MachineCard {
  std::string cpu;  // model name; "unknown" where /proc/cpuinfo does not say
  CpuBudget cpus;
  std::uint64_t memory_total = 0, memory_available = 0;  // bytes; 0 = unknown
  std::optional<std::uint64_t> memory_limit;             // tightest cgroup limit in bytes
  std::string huge_pages;                                // chosen setting of transparent_hugepage; empty = unknown
  int numa_nodes = 1;
};

// Reads /proc and /sys; what cannot be read stays at its default.
MachineCard machine_card();

}  // namespace bitnet::cli
