// Does the time of an operation grow in step with its input?
#pragma once

#include <algorithm>
#include <ctime>
#include <limits>
#include <string>
#include <string_view>

namespace bitnet::test {

inline std::string repeated(std::string_view part, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += part;
  return text;
}

// Processor time: a busy machine makes a test wait, which is not what is asked.
template <class Body>
double seconds(const Body& body) {
  const std::clock_t start = std::clock();
  body();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

// Time on 1 MB of `part` over time on half of it. Each is the fastest of some runs, and there are more runs while the ratio
// looks too high: what else runs on the machine only ever adds time.
template <class Body>
double growth(std::string_view part, const Body& body) {
  const std::string half = repeated(part, 500'000), whole = repeated(part, 1'000'000);
  double of_half = std::numeric_limits<double>::max(), of_whole = of_half;
  for (int run = 0; run < 40 && (run < 2 || of_whole > 2.2 * of_half); ++run) {
    of_half = std::min(of_half, seconds([&] { body(half); }));
    of_whole = std::min(of_whole, seconds([&] { body(whole); }));
  }
  return of_whole / of_half;
}

}  // namespace bitnet::test
