// Reads affinity, cgroup quota and core topology of Linux.
#include "common/cpu_set.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include "common/error.h"

#ifdef __linux__
#include <sched.h>
#endif

namespace bitnet {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::vector<int> allowed_cpus() {
  std::vector<int> cpus;
#ifdef __linux__
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
  }
#endif
  if (cpus.empty()) {
    const int count = std::max(1u, std::thread::hardware_concurrency());
    for (int cpu = 0; cpu < count; ++cpu) cpus.push_back(cpu);
  }
  return cpus;
}

// Siblings of one core share the same thread_siblings_list.
int physical_cores(const std::string& root, const std::vector<int>& cpus) {
  std::set<std::string> cores;
  for (const int cpu : cpus) {
    const std::string list =
        first_line(root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
    cores.insert(list.empty() ? "cpu" + std::to_string(cpu) : list);
  }
  return static_cast<int>(cores.size());
}

// "max 100000" or "150000 100000" (cgroup v2 cpu.max); 0 when there is no limit.
double quota_v2(const std::string& folder) {
  std::istringstream line(first_line(folder + "/cpu.max"));
  std::string limit;
  double period = 0;
  if (!(line >> limit >> period) || limit == "max" || period <= 0) return 0;
  return std::atof(limit.c_str()) / period;
}

double quota_v1(const std::string& folder) {
  const double limit = std::atof(first_line(folder + "/cpu.cfs_quota_us").c_str());
  const double period = std::atof(first_line(folder + "/cpu.cfs_period_us").c_str());
  return limit > 0 && period > 0 ? limit / period : 0;
}

// The tightest quota from this process's group up to the root of the hierarchy.
double tightest(const std::string& mount, std::string group, double (*quota)(const std::string&)) {
  double result = 0;
  while (true) {
    const double q = quota(mount + (group == "/" ? "" : group));
    if (q > 0 && (result == 0 || q < result)) result = q;
    if (group.empty() || group == "/") return result;
    group.erase(group.rfind('/'));
  }
}

// /proc/self/cgroup has lines "0::/path" (v2) and "4:cpu,cpuacct:/path" (v1).
double cgroup_quota(const std::string& root) {
  double result = 0;
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",", group = line.substr(second + 1);
    double q = 0;
    if (controllers == ",,") q = tightest(root + "/sys/fs/cgroup", group, quota_v2);
    if (controllers.find(",cpu,") != std::string::npos) q = tightest(root + "/sys/fs/cgroup/cpu", group, quota_v1);
    if (q > 0 && (result == 0 || q < result)) result = q;
  }
  return result;
}

}  // namespace

CpuBudget cpu_budget(const std::string& root) {
  const std::vector<int> cpus = allowed_cpus();
  CpuBudget budget;
  budget.logical = static_cast<int>(cpus.size());
  budget.physical = physical_cores(root, cpus);
  budget.quota = cgroup_quota(root);
  budget.threads = budget.physical;
  if (budget.quota > 0) budget.threads = std::min(budget.threads, static_cast<int>(std::ceil(budget.quota)));
  budget.threads = std::max(budget.threads, 1);
  return budget;
}

int thread_count(int wanted) {
  if (wanted < 0 || wanted > 1024) fail(ErrorKind::usage, "threads is {}, allowed are 0 (one per core) to 1024", wanted);
  return wanted == 0 ? cpu_budget().threads : wanted;
}

}  // namespace bitnet
