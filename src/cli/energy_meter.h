// EnergyMeter: how many joules did the processor packages take since a moment ago, where the kernel lets us read it?
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bitnet::cli {

// Reads the package counters of RAPL, which Linux shows under /sys/class/powercap: by default to root alone, and not in most
// virtual machines. They count the whole package, whoever uses it, without memory modules.
class EnergyMeter {
 public:
  EnergyMeter();  // finds the counters that can be read now

  // Joules of all packages since the last call, or since the meter was made; nullopt where no counter can be read, or one
  // failed meanwhile. A counter that wraps around, as those of busy packages do within minutes, must not do so twice between
  // calls.
  std::optional<double> lap();

 private:
  struct Counter {
    std::string file;
    std::int64_t range, last;  // microjoules; the counter wraps to 0 behind `range`
  };
  std::vector<Counter> counters_;
};

}  // namespace bitnet::cli
