// Finds what only the model to be removed uses.
#include "models/hub/removal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "common/error.h"
#include "models/hub/cache.h"
#include "models/hub/file_choice.h"
#include "models/hub/file_lock.h"

namespace bitnet::hub {
namespace {

namespace fs = std::filesystem;

bool is_real_folder(const std::string& path) {
  struct stat status = {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

CachedModel require_cached(const std::string& cache, const std::string& repository) {
  for (CachedModel& model : list_cached(cache)) {
    if (model.repository != repository) continue;
    for (const char* below : {"", "/blobs", "/snapshots"}) {
      const std::string path = model.folder + below;
      if (::access(path.c_str(), F_OK) == 0 && !is_real_folder(path)) {
        fail(ErrorKind::io, "{}: is a symbolic link, what it leads to is not removed", printable(path, 512));
      }
    }
    return std::move(model);
  }
  fail(ErrorKind::not_found, "{}: is not in the cache at {}", repository, printable(cache, 512));
}

// Throws when a download of this model holds its lock.
void require_idle(const std::string& cache, const std::string& repository) {
  const fs::path folder = fs::path(lock_path(cache, repository, "x")).parent_path();
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (!at->path().string().ends_with(".lock")) continue;
    if (!FileLock::attempt(at->path().string())) fail(ErrorKind::io, "{}: is being pulled right now", repository);
  }
}

Removal whole_model(const std::string& cache, const CachedModel& model) {
  Removal removal{{model.folder}, 0, model.bytes, model.repository};
  const std::string locks = fs::path(lock_path(cache, model.repository, "x")).parent_path().string();
  if (is_real_folder(locks)) removal.paths.push_back(locks);
  for (const CachedRevision& revision : model.revisions) removal.files += revision.files.size();
  return removal;
}

// A blob inside the model's own folder; what other stores hold is theirs.
bool is_own_blob(const CachedModel& model, const std::string& path) {
  return fs::path(path).lexically_normal().parent_path().string() ==
         fs::path(model.folder + "/blobs").lexically_normal().string();
}

// True while a download of the blob that `partial` belongs to holds its lock. Other programs put something of their own in
// between: "ETAG.1a2b3c4d.incomplete".
bool is_busy(const std::string& cache, const std::string& repository, const std::string& partial) {
  const std::string blob = fs::path(partial).stem().string();
  for (const std::string& name : {blob, fs::path(blob).stem().string()}) {
    const std::string lock = lock_path(cache, repository, name);
    if (::access(lock.c_str(), F_OK) == 0 && !FileLock::attempt(lock)) return true;
  }
  return false;
}

}  // namespace

Removal plan_removal(const std::string& cache, const ModelName& name) {
  const CachedModel model = require_cached(cache, name.repository);
  require_idle(cache, name.repository);
  if (name.revision.empty() && name.file.empty()) return whole_model(cache, model);
  const auto commit = cached_commit(cache, name.repository, name.revision_or_main());
  const auto revision = std::ranges::find(model.revisions, commit.value_or(""), &CachedRevision::commit);
  if (revision == model.revisions.end()) {
    fail(ErrorKind::not_found, "{}: revision '{}' is not in the cache", name.repository, printable(name.revision_or_main()));
  }
  std::set<std::string> going;
  std::vector<std::string> names;
  for (const CachedFile& file : revision->files) names.push_back(file.name);
  if (name.file.empty()) going.insert(names.begin(), names.end());
  if (!name.file.empty()) {
    const FileChoice choice = choose_files(names, name.file, name.repository);
    going.insert(choice.files.begin(), choice.files.end());
  }
  if (going.size() == names.size() && model.revisions.size() == 1) return whole_model(cache, model);

  Removal removal{{}, going.size(), 0, name.text()};
  std::set<std::string> kept, freed;
  for (const CachedRevision& other : model.revisions) {
    for (const CachedFile& file : other.files) {
      const bool goes = other.commit == *commit && going.contains(file.name);
      (goes ? freed : kept).insert(file.blob);
      if (goes) removal.paths.push_back(model.folder + "/snapshots/" + *commit + "/" + file.name);
    }
  }
  for (const std::string& blob : freed) {
    struct stat status = {};
    if (kept.contains(blob) || !is_own_blob(model, blob) || ::lstat(blob.c_str(), &status) != 0) continue;
    removal.paths.push_back(blob);
    removal.bytes += static_cast<std::uint64_t>(status.st_size);
  }
  if (going.size() == names.size()) {
    for (const std::string& ref : revision->refs) removal.paths.push_back(model.folder + "/refs/" + ref);
    removal.paths.push_back(model.folder + "/snapshots/" + *commit);
  }
  return removal;
}

Removal plan_prune(const std::string& cache, const std::string& repository) {
  Removal removal;
  removal.what = "downloads that were not finished";
  for (const CachedModel& model : list_cached(cache)) {
    if (!repository.empty() && model.repository != repository) continue;
    for (const PartialDownload& partial : model.partials) {
      if (!is_own_blob(model, partial.path) || !is_real_folder(model.folder) || !is_real_folder(model.folder + "/blobs"))
        continue;
      if (is_busy(cache, model.repository, partial.path)) continue;
      removal.paths.push_back(partial.path);
      removal.bytes += partial.bytes;
      ++removal.files;
    }
  }
  return removal;
}

void carry_out(const Removal& removal) {
  for (const std::string& path : removal.paths) {
    std::error_code error;
    fs::remove_all(path, error);  // removes links, does not follow them
    if (error) fail(ErrorKind::io, "{}: cannot remove: {}", printable(path, 512), error.message());
  }
}

}  // namespace bitnet::hub
