// Opening and mapping a file with POSIX calls.
#include "common/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "common/error.h"

namespace bitnet {

MappedFile MappedFile::open(const std::string& path) {
  const std::string shown = printable(path, 512);
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  MappedFile file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK), path);
  if (file.fd_ < 0) {
    const bool missing = errno == ENOENT || errno == ENOTDIR;
    fail(missing ? ErrorKind::not_found : ErrorKind::io, "{}: cannot open: {}", shown, std::strerror(errno));
  }
  struct stat status;
  if (fstat(file.fd_, &status) != 0) fail(ErrorKind::io, "{}: cannot get its size: {}", shown, std::strerror(errno));
  if (S_ISDIR(status.st_mode)) fail(ErrorKind::bad_model, "{}: is a folder, not a file", shown);
  if (!S_ISREG(status.st_mode)) fail(ErrorKind::bad_model, "{}: is not a regular file", shown);
  if (status.st_size == 0) fail(ErrorKind::bad_model, "{}: is empty", shown);
  const auto size = static_cast<std::size_t>(status.st_size);
  void* start = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd_, 0);
  if (start == MAP_FAILED) fail(ErrorKind::io, "{}: cannot map {} bytes: {}", shown, size, std::strerror(errno));
  file.bytes_ = {static_cast<const std::byte*>(start), size};
  return file;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  if (fd_ >= 0) close(fd_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), bytes_(std::exchange(other.bytes_, {})), path_(std::move(other.path_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(bytes_, other.bytes_);
  std::swap(path_, other.path_);
  return *this;
}

void MappedFile::discard(std::span<const std::byte> part) const {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<std::uintptr_t>(part.data()) + page - 1) / page * page;
  const auto end = (reinterpret_cast<std::uintptr_t>(part.data()) + part.size()) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace bitnet
