// How many threads this process should use: affinity, cgroup quota and physical cores.
#pragma once

#include <string>

namespace bitnet {

struct CpuBudget {
  int logical = 1;   // CPUs in the affinity mask
  int physical = 1;  // distinct cores among them
  double quota = 0;  // CPUs allowed by the tightest cgroup v1/v2 quota; 0 = none
  int threads = 1;   // what to use: physical cores, at most the quota rounded up, at least 1
};

// Reads /proc and /sys under `root` (tests pass a folder of their own); unreadable files count as absent.
CpuBudget cpu_budget(const std::string& root = "");

// `wanted` threads, or cpu_budget()'s for 0. Throws Error{usage} for fewer than 0 or more than 1024.
int thread_count(int wanted);

}  // namespace bitnet
