// OutputFile: a file that appears under its name only when it is complete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bitnet {

enum class Replace : bool { no, yes };  // a file that has the name already

// Writes beside the target and renames on commit(); without commit nothing is left behind. A target that exists and is no
// regular file (a device, a pipe) is written directly. Errors are Error{io} naming the target.
class OutputFile {
 public:
  // With Replace::no a name that is taken is Error{usage}, now or on commit().
  explicit OutputFile(std::string path, Replace replace = Replace::yes);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // One after the other, through a buffer. Not thread safe.
  void write(std::string_view text);

  // Puts bytes where they belong, at once. Safe from several threads, for regular files only; not to be mixed with write().
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);

  // Waits until the disk has what was written. commit() does it, too; several files that belong together are all synced
  // before the first gets its name.
  void sync();

  // Syncs, and gives the file its name.
  void commit();

 private:
  void flush();
  void rename_to_target();
  [[noreturn]] void fail_with_errno(std::string_view action) const;

  std::string path_, temporary_;  // temporary_ is empty when the target is written directly
  std::string buffer_;
  Replace replace_;
  bool synced_ = false;
  int descriptor_ = -1;
};

// Throws Error{io} when the disk that holds the folder of `path` has fewer than `bytes` left for this user.
void require_free_space(const std::string& path, std::uint64_t bytes);

// Do both names lead to the same existing file or folder?
bool same_file(const std::string& a, const std::string& b);

}  // namespace bitnet
