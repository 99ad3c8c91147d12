// StopStrings: finds stop strings in streamed text, also where one is split between tokens.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bitnet {

// Text goes in piece by piece; out comes what is certain not to belong to a stop string. Not thread safe.
class StopStrings {
 public:
  // Throws Error{usage} for an empty string.
  explicit StopStrings(std::vector<std::string> stops);

  // Text that became safe with this piece. Once stopped() it is everything before the first stop string to appear (the earliest
  // start, the longest of those), and later pieces give nothing.
  std::string put(std::string_view piece);
  std::string finish();  // what was held back, when no stop string came
  bool stopped() const { return stopped_; }
  const std::string& found() const { return found_; }  // the one that stopped it

 private:
  std::vector<std::string> stops_;
  std::size_t longest_ = 0;
  std::string held_, found_;
  bool stopped_ = false;
};

}  // namespace bitnet
