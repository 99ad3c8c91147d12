// Positioned reads, each followed by a look at the file's size and time.
#include "common/file_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "common/error.h"

namespace bitnet {

FileReader::FileReader(const MappedFile& file) : fd_(fcntl(file.descriptor(), F_DUPFD_CLOEXEC, 0)), path_(file.path()) {
  struct stat status;
  if (fd_ < 0 || fstat(fd_, &status) != 0) {
    fail(ErrorKind::io, "{}: cannot keep it open: {}", printable(path_, 512), std::strerror(errno));
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
  seconds_ = status.st_mtim.tv_sec, nanoseconds_ = status.st_mtim.tv_nsec;
}

FileReader::~FileReader() {
  if (fd_ >= 0) close(fd_);
}

FileReader::FileReader(FileReader&& other) noexcept { *this = std::move(other); }

FileReader& FileReader::operator=(FileReader&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  size_ = other.size_, seconds_ = other.seconds_, nanoseconds_ = other.nanoseconds_;
  return *this;
}

void FileReader::fill(std::uint64_t offset, std::span<std::byte> out) const {
  for (std::size_t done = 0; done < out.size();) {
    const ssize_t got = pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(ErrorKind::io, "{}: reading at byte {}: {}", printable(path_, 512), offset + done, std::strerror(errno));
    if (got == 0) fail(ErrorKind::io, "{}: ends at byte {} now, it had {}", printable(path_, 512), offset + done, size_);
    done += static_cast<std::size_t>(got);
  }
}

void FileReader::check() const {
  struct stat status;
  if (fstat(fd_, &status) != 0 || static_cast<std::uint64_t>(status.st_size) != size_ || status.st_mtim.tv_sec != seconds_ ||
      status.st_mtim.tv_nsec != nanoseconds_) {
    fail(ErrorKind::io, "{}: was changed while it was in use; load it again", printable(path_, 512));
  }
}

}  // namespace bitnet
