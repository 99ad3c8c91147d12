// Progress of long work on standard error: how much is done, how fast it goes, how long the rest will take.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace bitnet::cli {

enum class ProgressForm {
  bar,   // one line at a terminal that is drawn over and finally removed; nothing where standard error is no terminal
  json,  // {"progress": label, "unit", "done", "total", "elapsed_seconds", "rate", "eta_seconds", "note"} a line, for programs
  none,
};

// --progress bar, json or none: how every ProgressBar of the process shows itself. `bar` when the flag is not declared or
// given.
void add_progress_flag(CLI::App& command);

// Silent for quick work (under 0.3 s, unless as JSON) and redrawn at most ten times a second (JSON: twice). Failures to write
// are ignored. One thread. Call clear() before printing anything else; the next update() draws anew.
class ProgressBar {
 public:
  // `unit` names what is counted ("tokens", "files"); "bytes" are written as KiB, MiB and so on; "" shows the share alone.
  // `label` is valid UTF-8 without control bytes: text from outside goes through printable().
  explicit ProgressBar(std::string label, std::string unit = "");
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // `done` of `total`; total 0 = not known. What the first call says was there before is not counted in the rate, which is the
  // mean since then: work that goes on where an earlier run stopped first reports where that was. `note` is shown behind it.
  void update(std::uint64_t done, std::uint64_t total, std::string_view note = {});
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  struct State {
    std::uint64_t done = 0, total = 0;
    std::string note;
  };
  double seconds() const;                    // since the first update
  double rate() const;                       // units per second; 0 while it is not known
  double eta() const;                        // seconds; negative while it is not known
  std::string line(std::size_t room) const;  // at most `room` columns if the words fit into them
  void draw();
  void write_json();

  std::string label_, unit_;
  ProgressForm form_;
  Clock::time_point start_, shown_;
  std::uint64_t first_ = 0;  // `done` of the first update
  State state_;
  bool started_ = false, pending_ = false;
  std::size_t drawn_ = 0;  // columns that are on the screen
};

}  // namespace bitnet::cli
