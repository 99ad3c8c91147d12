// Makes a folder beside the target and renames it.
#include "common/output_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "common/error.h"

namespace bitnet {
namespace {

[[noreturn]] void fail_with_errno(const std::string& path, std::string_view action) {
  fail(ErrorKind::io, "{}: cannot {}: {}", printable(path, 512), action, std::strerror(errno));
}

// The first thing in a folder that must stay, "" when there is none.
std::string first_foreign(const std::string& path, std::span<const std::string_view> replaceable) {
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    const std::string name = entry.path().filename().string();
    const bool known =
        std::any_of(replaceable.begin(), replaceable.end(), [&](std::string_view end) { return name.ends_with(end); });
    if (!known || entry.is_directory()) return name;
  }
  return {};
}

void check_target(const std::string& path, Replace replace, std::span<const std::string_view> replaceable) {
  std::error_code ignored;
  if (!std::filesystem::exists(std::filesystem::symlink_status(path, ignored))) return;
  if (!std::filesystem::is_directory(path, ignored) || std::filesystem::is_symlink(path, ignored)) {
    fail(ErrorKind::usage, "{}: exists already and is no folder", printable(path, 512));
  }
  if (std::filesystem::is_empty(path, ignored)) return;
  if (replace == Replace::no) fail(ErrorKind::usage, "{}: exists already, --force replaces it", printable(path, 512));
  if (const std::string name = first_foreign(path, replaceable); !name.empty()) {
    fail(ErrorKind::usage, "{}: holds '{}', which is no part of a model; give another name", printable(path, 512),
         printable(name));
  }
}

void sync_folder(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

}  // namespace

OutputFolder::OutputFolder(std::string path, Replace replace, std::span<const std::string_view> replaceable)
    : path_(std::move(path)) {
  while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  check_target(path_, replace, replaceable);
  const std::string temporary = fmt::format("{}.{}.part", path_, ::getpid());
  if (::mkdir(temporary.c_str(), 0777) != 0) fail_with_errno(path_, "create");
  temporary_ = temporary;
}

OutputFolder::~OutputFolder() {
  std::error_code ignored;
  if (!temporary_.empty()) std::filesystem::remove_all(temporary_, ignored);
}

void OutputFolder::commit() {
  sync_folder(temporary_);
  if (::rename(temporary_.c_str(), path_.c_str()) == 0) {
    temporary_.clear();
    return;
  }
  // A folder that is not empty: it was found replaceable. The old one is removed under the temporary name.
  if (errno != ENOTEMPTY && errno != EEXIST) fail_with_errno(path_, "create");
  if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) != 0)
    fail_with_errno(path_, "replace");
  std::filesystem::remove_all(temporary_);
  temporary_.clear();
}

}  // namespace bitnet
