// Writes to a temporary name, syncs, renames.
#include "common/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "common/error.h"

namespace bitnet {
namespace {

constexpr std::size_t buffer_size = 1 << 20;

// A name that exists and cannot be replaced by renaming a file over it.
bool is_special(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

bool exists(const std::string& path) {
  struct stat status = {};
  return ::lstat(path.c_str(), &status) == 0;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

[[noreturn]] void taken(const std::string& path) {
  fail(ErrorKind::usage, "{}: exists already, --force replaces it", printable(path, 512));
}

}  // namespace

OutputFile::OutputFile(std::string path, Replace replace) : path_(std::move(path)), replace_(replace) {
  if (is_special(path_)) {
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    if (replace_ == Replace::no && exists(path_)) taken(path_);
    temporary_ = fmt::format("{}.{}.part", path_, ::getpid());
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  }
  if (descriptor_ < 0) {
    temporary_.clear();
    fail_with_errno("create");
  }
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::write(std::string_view text) {
  buffer_.append(text);
  if (buffer_.size() >= buffer_size) flush();
}

void OutputFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno != EINTR) fail_with_errno("write");
    if (count > 0) bytes = bytes.subspan(static_cast<std::size_t>(count)), offset += static_cast<std::uint64_t>(count);
  }
}

void OutputFile::sync() {
  flush();
  if (synced_ || temporary_.empty()) return;
  if (::fsync(descriptor_) != 0 && errno != EINVAL) fail_with_errno("write");
  synced_ = true;
}

void OutputFile::commit() {
  sync();
  if (temporary_.empty()) return;
  rename_to_target();
  temporary_.clear();
}

void OutputFile::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const ssize_t count = ::write(descriptor_, rest.data(), rest.size());
    if (count < 0 && errno != EINTR) fail_with_errno("write");
    if (count > 0) rest.remove_prefix(static_cast<std::size_t>(count));
  }
  buffer_.clear();
}

void OutputFile::rename_to_target() {
  if (replace_ == Replace::no) {
    if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE) == 0) return;
    if (errno == EEXIST) taken(path_);
    // Some file systems cannot do it in one step.
    if (errno != EINVAL && errno != ENOSYS) fail_with_errno("create");
    if (exists(path_)) taken(path_);
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_with_errno("create");
}

void OutputFile::fail_with_errno(std::string_view action) const {
  fail(ErrorKind::io, "{}: cannot {}: {}", printable(path_, 512), action, std::strerror(errno));
}

void require_free_space(const std::string& path, std::uint64_t bytes) {
  struct statvfs disk = {};
  if (::statvfs(folder_of(path).c_str(), &disk) != 0) return;  // whatever is wrong with the folder, creating the file says it
  const std::uint64_t left = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  if (left < bytes) fail(ErrorKind::io, "{}: needs {} bytes, the disk has {} left", printable(path, 512), bytes, left);
}

bool same_file(const std::string& a, const std::string& b) {
  struct stat first = {}, second = {};
  return ::stat(a.c_str(), &first) == 0 && ::stat(b.c_str(), &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

}  // namespace bitnet
