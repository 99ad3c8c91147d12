// OutputFolder: a folder of files that appears under its name only when it is complete.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "common/output_file.h"

namespace bitnet {

// Files are written into a folder beside the target, which takes the target's name on commit(); without it nothing is left
// behind. Errors are Error{io} naming the target.
class OutputFolder {
 public:
  // An empty folder may have the name already. With Replace::yes also one that holds nothing but files (no folders) whose names
  // are, or end with one of, `replaceable`: it goes when the new one is complete. Anything else is Error{usage}.
  OutputFolder(std::string path, Replace replace, std::span<const std::string_view> replaceable);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  // Where a file of this name is written for now.
  std::string file(std::string_view name) const { return temporary_ + "/" + std::string(name); }
  void commit();

 private:
  std::string path_, temporary_;
};

}  // namespace bitnet
