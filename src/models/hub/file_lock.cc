// Locks with flock, and makes sure that the name still leads to what was locked.
#include "models/hub/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "common/error.h"
#include "models/hub/retry.h"

namespace bitnet::hub {
namespace {

constexpr double poll_seconds = 0.1;
constexpr int attempts_on_a_vanishing_file = 100;

}  // namespace

bool lock_open_file(int descriptor, const std::string& path) {
  while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno == EINTR) continue;
    // A file system without flock: the lock only saves traffic, what is written is checked whatever happens.
    if (errno == ENOSYS || errno == ENOTSUP || errno == ENOLCK) return true;
    fail(ErrorKind::io, "{}: cannot lock: {}", printable(path, 512), std::strerror(errno));
  }
  struct stat open = {}, named = {};
  return ::fstat(descriptor, &open) == 0 && ::lstat(path.c_str(), &named) == 0 && open.st_ino == named.st_ino &&
         open.st_dev == named.st_dev;
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

std::optional<FileLock> FileLock::attempt(const std::string& path) {
  for (int i = 0; i < attempts_on_a_vanishing_file; ++i) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0664);
    if (descriptor < 0) fail(ErrorKind::io, "{}: cannot create the lock: {}", printable(path, 512), std::strerror(errno));
    FileLock lock(descriptor);
    if (lock_open_file(descriptor, path)) return lock;
    struct stat open = {};
    // Its last holder may have removed it between our open and our lock.
    if (::fstat(descriptor, &open) == 0 && open.st_nlink > 0) return std::nullopt;
  }
  return std::nullopt;
}

FileLock FileLock::wait(const std::string& path, const std::atomic<bool>* cancel, const std::function<void()>& on_wait) {
  for (bool told = false;; told = true) {
    if (auto lock = attempt(path)) return std::move(*lock);
    if (!told) on_wait();
    wait_seconds(poll_seconds, cancel);
  }
}

}  // namespace bitnet::hub
