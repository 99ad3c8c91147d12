// FileReader: byte ranges of a file, read when they are wanted; notices when somebody changes the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "common/mapped_file.h"

namespace bitnet {

// Reads the very file that was mapped, whatever has taken its name since. Move-only; reading is safe from several threads.
class FileReader {
 public:
  FileReader() = default;
  // Throws Error{io}.
  explicit FileReader(const MappedFile& file);
  ~FileReader();
  FileReader(FileReader&& other) noexcept;
  FileReader& operator=(FileReader&& other) noexcept;

  std::uint64_t size() const { return size_; }  // of the file when it was opened

  // Fills `out` from `offset`. Throws Error{io} naming the file when it is shorter now, was written to since, or fails to read.
  void read(std::uint64_t offset, std::span<std::byte> out) const { fill(offset, out), check(); }

  // The same in two steps, for several ranges with one look: what was filled counts only once check() has returned.
  void fill(std::uint64_t offset, std::span<std::byte> out) const;
  void check() const;

 private:
  int fd_ = -1;
  std::uint64_t size_ = 0;
  std::int64_t seconds_ = 0, nanoseconds_ = 0;  // when it was last written to
  std::string path_;
};

}  // namespace bitnet
