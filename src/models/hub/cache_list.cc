// Walks the cache: what is in it, revision by revision.
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "common/error.h"
#include "models/hub/cache.h"
#include "models/hub/file_choice.h"

namespace bitnet::hub {
namespace {

namespace fs = std::filesystem;

constexpr int max_depth = 8;

std::uint64_t size_of(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) ? static_cast<std::uint64_t>(status.st_size) : 0;
}

// Files and links below `root` as paths relative to it, sorted; folders behind links are not entered.
std::vector<std::string> walk(const std::string& root) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::recursive_directory_iterator at(root, error), end; !error && at != end; at.increment(error)) {
    if (at.depth() >= max_depth) at.disable_recursion_pending();
    std::error_code ignored;
    const fs::file_status status = at->symlink_status(ignored);
    if (!fs::is_directory(status)) names.push_back(at->path().lexically_relative(root).generic_string());
  }
  std::ranges::sort(names);
  return names;
}

std::vector<std::string> folders_in(const std::string& root) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(root, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (at->is_directory(ignored)) names.push_back(at->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

std::map<std::string, std::vector<std::string>> refs_by_commit(const std::string& folder) {
  std::map<std::string, std::vector<std::string>> refs;
  for (const std::string& name : walk(folder + "/refs")) {
    std::ifstream in(folder + "/refs/" + name);
    std::string commit;
    if (in >> commit && is_commit(commit)) refs[commit].push_back(name);
  }
  return refs;
}

CachedFile cached_file(const std::string& snapshot, const std::string& name) {
  const fs::path path = snapshot + "/" + name;
  std::error_code error;
  CachedFile file{name, 0, path.string(), fs::is_regular_file(path, error)};
  const fs::path link = fs::read_symlink(path, error);
  if (!error) file.blob = (path.parent_path() / link).lexically_normal().string();
  if (file.present) file.bytes = size_of(path.string());
  return file;
}

bool is_complete(const std::vector<CachedFile>& files) {
  std::set<std::string> names;
  for (const CachedFile& file : files) names.insert(file.name);
  return !files.empty() && std::ranges::all_of(files, [&](const CachedFile& file) {
    return file.present &&
           std::ranges::all_of(parts_of(file.name), [&](const std::string& part) { return names.contains(part); });
  });
}

CachedModel cached_model(const std::string& cache, const std::string& folder, const std::string& repository) {
  CachedModel model;
  model.repository = repository;
  model.folder = cache + "/" + folder;
  auto refs = refs_by_commit(model.folder);
  for (const std::string& commit : folders_in(model.folder + "/snapshots")) {
    CachedRevision revision{commit, refs[commit], {}, false};
    const std::string snapshot = model.folder + "/snapshots/" + commit;
    for (const std::string& name : walk(snapshot)) revision.files.push_back(cached_file(snapshot, name));
    revision.complete = is_complete(revision.files);
    model.revisions.push_back(std::move(revision));
  }
  for (const std::string& name : walk(model.folder + "/blobs")) {
    const std::string path = model.folder + "/blobs/" + name;
    if (name.ends_with(".incomplete")) model.partials.push_back({path, size_of(path)});
    model.bytes += size_of(path);
  }
  return model;
}

}  // namespace

std::vector<CachedModel> list_cached(const std::string& cache) {
  std::vector<CachedModel> models;
  std::error_code error;
  const bool exists = fs::exists(cache, error);
  if (error) fail(ErrorKind::io, "{}: cannot read: {}", printable(cache, 512), error.message());
  if (!exists) return models;
  for (const std::string& folder : folders_in(cache)) {
    if (const auto repository = repository_of_folder(folder)) models.push_back(cached_model(cache, folder, *repository));
  }
  return models;
}

}  // namespace bitnet::hub
