// MappedFile: a regular file's bytes, mapped read-only.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace bitnet {

// Move-only. The bytes must not be relied on after somebody shortens the file: copy out what has to last.
class MappedFile {
 public:
  // Throws Error{not_found} when there is no such file, Error{io} when it cannot be read, Error{bad_model} when it is empty or
  // not a regular file; never waits on a pipe or device.
  static MappedFile open(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return bytes_; }
  const std::string& path() const { return path_; }
  int descriptor() const { return fd_; }  // stays open as long as the map; not the caller's to close

  // Tells the system that the pages inside `part` of bytes() are not needed for now; their content stays readable.
  void discard(std::span<const std::byte> part) const;

 private:
  MappedFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  int fd_ = -1;
  std::span<const std::byte> bytes_;
  std::string path_;
};

}  // namespace bitnet
