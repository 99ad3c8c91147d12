// OutputFile: a file that appears under its name only when it is complete.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace bitnet::cli {

// Writes beside the target and renames on commit(); without commit nothing is left behind. A target that exists and is no
// regular file (a device, a pipe) is written directly. Errors are Error{io} naming the target. Not thread safe.
class OutputFile {
 public:
  explicit OutputFile(std::string path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::string_view text);
  void commit();

 private:
  void flush();
  [[noreturn]] void fail_with_errno(std::string_view action) const;

  std::string path_, temporary_;  // temporary_ is empty when the target is written directly
  std::string buffer_;
  int descriptor_ = -1;
};

}  // namespace bitnet::cli
