// The process as Prometheus' clients describe it: time, memory, descriptors.
#pragma once

#include <string>

namespace bitnet::server {

// process_cpu_seconds_total, process_resident_memory_bytes, process_virtual_memory_bytes, process_open_fds, process_max_fds,
// process_threads, process_start_time_seconds, in the text format; what /proc does not tell is left out.
std::string process_metrics();

}  // namespace bitnet::server
