// What /proc/self tells, as samples.
#include "server/process_metrics.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

namespace bitnet::server {
namespace {

void write(std::string& out, const char* name, const char* type, const char* help, double value) {
  out += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", name, help, type, value);
}

// Seconds since the epoch at which the machine was started.
double boot_time() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("btime ")) return std::stod(line.substr(6));
  }
  return 0;
}

}  // namespace

std::string process_metrics() {
  std::string out, text;
  std::ifstream file("/proc/self/stat");
  std::getline(file, text);
  const std::size_t name_end = text.rfind(')');  // a name may hold anything
  if (name_end == std::string::npos) return out;
  std::istringstream fields(text.substr(name_end + 2));
  // proc(5): field 3 is the state; 14, 15 times in ticks; 20 threads; 22 start in ticks; 23 bytes; 24 pages.
  double value[22] = {};
  std::string state;
  fields >> state;
  for (double& field : value) fields >> field;
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK)), page = static_cast<double>(::sysconf(_SC_PAGESIZE));
  write(out, "process_cpu_seconds_total", "counter", "User and system time", (value[10] + value[11]) / ticks);
  write(out, "process_resident_memory_bytes", "gauge", "Resident memory", value[20] * page);
  write(out, "process_virtual_memory_bytes", "gauge", "Virtual memory", value[19]);
  write(out, "process_threads", "gauge", "Threads", value[16]);
  write(out, "process_start_time_seconds", "gauge", "Start, in seconds since the epoch", boot_time() + value[18] / ticks);
  std::error_code error;
  double open = -1;  // the listing's own
  for (std::filesystem::directory_iterator entry("/proc/self/fd", error), end; !error && entry != end; entry.increment(error))
    ++open;
  write(out, "process_open_fds", "gauge", "Open descriptors", open);
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0)
    write(out, "process_max_fds", "gauge", "Descriptors that may be open", static_cast<double>(limit.rlim_cur));
  return out;
}

}  // namespace bitnet::server
