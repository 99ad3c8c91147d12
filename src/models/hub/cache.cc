// Finds and places files in the cache.
#include "models/hub/cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "common/error.h"
#include "models/hub/file_choice.h"

namespace bitnet::hub {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_with_errno(const std::string& path, const char* action) {
  fail(ErrorKind::io, "{}: cannot {}: {}", printable(path, 512), action, std::strerror(errno));
}

std::string repository_path(const std::string& cache, const std::string& repository) {
  return cache + "/" + repository_folder(repository);
}

// A folder below the cache. A symbolic link in its place would lead what is written elsewhere.
void make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0777) == 0) return;
  struct stat status = {};
  if (errno != EEXIST || ::lstat(path.c_str(), &status) != 0) fail_with_errno(path, "create the folder");
  if (!S_ISDIR(status.st_mode)) fail(ErrorKind::io, "{}: is no folder, or a symbolic link to one", printable(path, 512));
}

// The folders of `below`, a safe relative path, one by one.
void make_folders(const std::string& root, const std::string& below) {
  for (std::size_t slash = below.find('/'); slash != std::string::npos; slash = below.find('/', slash + 1)) {
    make_folder(root + "/" + below.substr(0, slash));
  }
  make_folder(root + "/" + below);
}

// A name beside `path` that no other process and no other thread uses.
std::string temporary_name(const std::string& path) {
  static std::atomic<unsigned> count = 0;
  return fmt::format("{}.{}.{}.tmp", path, ::getpid(), count++);
}

std::string parent(const std::string& path) { return path.substr(0, path.rfind('/')); }

void write_small_file(const std::string& path, const std::string& text) {
  const std::string temporary = temporary_name(path);
  {
    std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
    out << text;
    out.flush();
    if (!out) fail_with_errno(temporary, "write");
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) fail_with_errno(path, "create");
}

// Says to backup programs that all this can be had again (bford.info/cachedir); done only where it is missing.
void write_cache_tag(const std::string& cache) {
  const std::string path = cache + "/CACHEDIR.TAG";
  struct stat status = {};
  if (::lstat(path.c_str(), &status) == 0) return;
  write_small_file(path,
                   "Signature: 8a477f597d28d172789f06886806bc55\n# Downloaded models, see https://bford.info/cachedir/\n");
}

std::vector<std::string> present_files(const std::string& snapshot) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::recursive_directory_iterator at(snapshot, error), end; !error && at != end; at.increment(error)) {
    if (at.depth() > 8) at.disable_recursion_pending();
    std::error_code ignored;
    if (fs::is_regular_file(at->path(), ignored)) names.push_back(at->path().lexically_relative(snapshot).generic_string());
  }
  std::ranges::sort(names);
  return names;
}

std::optional<std::string> only_snapshot(const std::string& folder) {
  std::vector<std::string> commits;
  std::error_code error;
  for (fs::directory_iterator at(folder + "/snapshots", error), end; !error && at != end; at.increment(error)) {
    if (at->is_directory(error)) commits.push_back(at->path().filename().string());
  }
  if (commits.size() != 1) return std::nullopt;
  return commits.front();
}

}  // namespace

std::optional<std::string> cached_commit(const std::string& cache, const std::string& repository, const std::string& revision) {
  std::ifstream in(repository_path(cache, repository) + "/refs/" + revision, std::ios::binary);
  std::string commit(41, '\0');
  in.read(commit.data(), static_cast<std::streamsize>(commit.size()));
  commit.resize(static_cast<std::size_t>(in.gcount()));
  while (commit.ends_with('\n')) commit.pop_back();
  if (is_commit(commit)) return commit;
  if (is_commit(revision)) return revision;
  return std::nullopt;
}

std::optional<std::string> find_cached(const std::string& cache, const ModelName& name) {
  const std::string folder = repository_path(cache, name.repository);
  auto commit = cached_commit(cache, name.repository, name.revision_or_main());
  if (!commit && name.revision.empty()) commit = only_snapshot(folder);
  if (!commit) return std::nullopt;
  const std::string snapshot = folder + "/snapshots/" + *commit;
  try {
    const FileChoice choice = choose_files(present_files(snapshot), name.file, name.repository);
    return choice.main.empty() ? snapshot : snapshot + "/" + choice.main;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::not_found) return std::nullopt;
    throw;
  }
}

std::string blob_path(const std::string& cache, const std::string& repository, const std::string& blob) {
  return repository_path(cache, repository) + "/blobs/" + blob;
}

std::string lock_path(const std::string& cache, const std::string& repository, const std::string& blob) {
  return cache + "/.locks/" + repository_folder(repository) + "/" + blob + ".lock";
}

void prepare_repository(const std::string& cache, const std::string& repository) {
  std::error_code error;
  fs::create_directories(cache, error);  // the user's own choice, links and all
  if (error) fail(ErrorKind::io, "{}: cannot create the folder: {}", printable(cache, 512), error.message());
  write_cache_tag(cache);
  const std::string folder = repository_folder(repository);
  for (const char* below : {"/blobs", "/refs", "/snapshots"}) make_folders(cache, folder + below);
  make_folders(cache, ".locks/" + folder);
}

std::string link_file(const std::string& cache, const std::string& repository, const std::string& commit,
                      const std::string& file, const std::string& blob) {
  const std::string folder = repository_path(cache, repository);
  const std::string path = folder + "/snapshots/" + commit + "/" + file;
  make_folders(folder, parent("snapshots/" + commit + "/" + file));
  std::string target = "../../";
  for (const char c : file) target += c == '/' ? "../" : "";
  target += "blobs/" + blob;
  std::error_code error;
  if (fs::read_symlink(path, error) == fs::path(target)) return path;
  const std::string temporary = temporary_name(path);
  ::unlink(temporary.c_str());
  if (::symlink(target.c_str(), temporary.c_str()) != 0) fail_with_errno(path, "link");
  if (::rename(temporary.c_str(), path.c_str()) != 0) fail_with_errno(path, "link");
  return path;
}

void write_ref(const std::string& cache, const std::string& repository, const std::string& revision,
               const std::string& commit) {
  if (revision == commit || cached_commit(cache, repository, revision) == commit) return;
  const std::string folder = repository_path(cache, repository);
  make_folders(folder, parent("refs/" + revision));
  write_small_file(folder + "/refs/" + revision, commit);
}

}  // namespace bitnet::hub
