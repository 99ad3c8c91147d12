// Appends to a file by descriptor, without a buffer of our own.
#include "models/hub/partial_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <vector>

#include "common/error.h"
#include "models/hub/file_lock.h"
#include "models/hub/retry.h"

namespace bitnet::hub {
namespace {

constexpr std::size_t read_size = 1 << 20;
constexpr double poll_seconds = 0.1;

}  // namespace

PartialFile::PartialFile(std::string path, std::uint64_t limit, const std::atomic<bool>* cancel)
    : path_(std::move(path)), limit_(limit) {
  try {
    open_locked(cancel);
    read_what_is_there(cancel);
  } catch (...) {
    if (descriptor_ >= 0) ::close(descriptor_);
    throw;
  }
}

PartialFile::~PartialFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void PartialFile::open_locked(const std::atomic<bool>* cancel) {
  while (true) {
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail_with_errno("create");
    struct stat status = {};
    if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
      fail(ErrorKind::io, "{}: is no regular file", printable(path_, 512));
    }
    if (lock_open_file(descriptor_, path_)) return;
    ::close(descriptor_);
    descriptor_ = -1;
    wait_seconds(poll_seconds, cancel);
  }
}

void PartialFile::read_what_is_there(const std::atomic<bool>* cancel) {
  std::vector<std::byte> buffer(read_size);
  while (size_ < limit_) {
    if (cancel != nullptr && *cancel) fail(ErrorKind::cancelled, "interrupted");
    const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(read_size, limit_ - size_));
    const ssize_t count = ::pread(descriptor_, buffer.data(), wanted, static_cast<off_t>(size_));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_with_errno("read");
    if (count == 0) break;
    hash_.update(std::span(buffer).first(static_cast<std::size_t>(count)));
    size_ += static_cast<std::uint64_t>(count);
  }
  if (::ftruncate(descriptor_, static_cast<off_t>(size_)) != 0) fail_with_errno("write");
}

void PartialFile::append(std::span<const std::byte> bytes, const std::string& what) {
  if (bytes.size() > limit_ - size_)
    fail(ErrorKind::io, "{}: the server sends more than the {} bytes it promised", what, limit_);
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(size_));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
      if (!full) fail_with_errno("write");
      fail(ErrorKind::io, "{}: cannot write: {}; {} of {} bytes are there and kept: make room and pull again",
           printable(path_, 512), std::strerror(errno), size_, limit_);
    }
    hash_.update(bytes.first(static_cast<std::size_t>(count)));
    size_ += static_cast<std::uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void PartialFile::clear() {
  if (::ftruncate(descriptor_, 0) != 0) fail_with_errno("write");
  size_ = 0;
  hash_ = {};
}

void PartialFile::publish(const std::string& target) {
  if (::fsync(descriptor_) != 0 && errno != EINVAL) fail_with_errno("write");
  if (::rename(path_.c_str(), target.c_str()) != 0) {
    fail(ErrorKind::io, "{}: cannot create: {}", printable(target, 512), std::strerror(errno));
  }
  const std::string folder = std::filesystem::path(target).parent_path().string();
  const int descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);  // so that the name outlives a power cut; a file system that cannot is no reason to fail
  ::close(descriptor);
}

void PartialFile::remove() { ::unlink(path_.c_str()); }

void PartialFile::fail_with_errno(const char* action) const {
  fail(ErrorKind::io, "{}: cannot {}: {}", printable(path_, 512), action, std::strerror(errno));
}

}  // namespace bitnet::hub
