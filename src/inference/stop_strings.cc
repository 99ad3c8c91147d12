// Holds back the tail of the text while it could still begin a stop string.
#include "inference/stop_strings.h"

#include <algorithm>
#include <utility>

#include "common/error.h"

namespace bitnet {

StopStrings::StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {
  for (const std::string& stop : stops_) {
    if (stop.empty()) fail(ErrorKind::usage, "a stop string is empty");
    longest_ = std::max(longest_, stop.size());
  }
}

std::string StopStrings::put(std::string_view piece) {
  if (stopped_) return {};
  held_ += piece;
  std::size_t first = std::string::npos;
  for (const std::string& stop : stops_) {
    const std::size_t at = held_.find(stop);
    if (at == std::string::npos || at > first || (at == first && stop.size() <= found_.size())) continue;
    first = at, found_ = stop;
  }
  if (first != std::string::npos) {
    stopped_ = true;
    held_.resize(first);
    return std::exchange(held_, {});
  }
  // The earliest tail that is a beginning of some stop string; only the last longest_ - 1 bytes can be.
  std::size_t safe = held_.size() >= longest_ ? held_.size() - (longest_ > 0 ? longest_ - 1 : 0) : 0;
  const auto could_begin = [&](std::size_t at) {
    return std::any_of(stops_.begin(), stops_.end(),
                       [&](const std::string& stop) { return stop.compare(0, held_.size() - at, held_, at) == 0; });
  };
  while (safe < held_.size() && !could_begin(safe)) ++safe;
  std::string out = held_.substr(0, safe);
  held_.erase(0, safe);
  return out;
}

std::string StopStrings::finish() { return stopped_ ? std::string() : std::exchange(held_, {}); }

}  // namespace bitnet
