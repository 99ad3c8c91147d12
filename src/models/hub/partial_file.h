// PartialFile: a download that is not finished, hashed as it grows, under its final name only when it is.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "common/sha256.h"

namespace bitnet::hub {

// Every piece is written before append() returns, so that a killed process loses nothing. Locked against other processes while
// it is open. Errors are Error{io} naming the file. Not thread safe.
class PartialFile {
 public:
  // Opens or makes it and hashes what is there. More than `limit` bytes are cut off. Waits for its lock; `cancel` may be null.
  PartialFile(std::string path, std::uint64_t limit, const std::atomic<bool>* cancel);
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  std::uint64_t size() const { return size_; }
  std::string sha256() const { return hash_.hex(); }

  // Throws Error{io} for more than the limit, saying whose promise that was (`what`), and when the disk is full.
  void append(std::span<const std::byte> bytes, const std::string& what);
  void clear();
  // Syncs and renames to `target`, replacing what is there.
  void publish(const std::string& target);
  void remove();

 private:
  void open_locked(const std::atomic<bool>* cancel);
  void read_what_is_there(const std::atomic<bool>* cancel);
  [[noreturn]] void fail_with_errno(const char* action) const;

  std::string path_;
  std::uint64_t limit_, size_ = 0;
  Sha256 hash_;
  int descriptor_ = -1;
};

}  // namespace bitnet::hub
