// Cache: the folder of downloaded models in the layout of the huggingface_hub library, shared with it.
//
//   models--OWNER--NAME/blobs/ETAG                     the files' contents, by what the server calls them
//   models--OWNER--NAME/blobs/ETAG.incomplete          a download that is not finished
//   models--OWNER--NAME/snapshots/COMMIT/FILE          a symbolic link, ../../blobs/ETAG
//   models--OWNER--NAME/refs/REVISION                  the commit that a branch or tag stood for
//   .locks/models--OWNER--NAME/ETAG.lock               held while that blob is downloaded
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "models/hub/model_name.h"

namespace bitnet::hub {

// The file or folder of a model that was pulled, whole; nullopt when it was not. Without a revision: "main", or the only one
// there is. Throws Error{usage} when the name fits several files.
std::optional<std::string> find_cached(const std::string& cache, const ModelName& name);

// The commit that a revision stands for here; nullopt when that is not known.
std::optional<std::string> cached_commit(const std::string& cache, const std::string& repository, const std::string& revision);

struct CachedFile {
  std::string name;         // within the snapshot
  std::uint64_t bytes = 0;  // 0 when missing
  std::string blob;         // the path its link leads to; the file itself where links are not used
  bool present = false;
};

struct CachedRevision {
  std::string commit;
  std::vector<std::string> refs;  // branches and tags, sorted
  std::vector<CachedFile> files;  // sorted by name
  bool complete = false;          // every link leads to a file, every part of a split file is there
};

struct PartialDownload {
  std::string path;
  std::uint64_t bytes = 0;
};

struct CachedModel {
  std::string repository;
  std::string folder;
  std::vector<CachedRevision> revisions;
  std::vector<PartialDownload> partials;
  std::uint64_t bytes = 0;  // of all blobs once, partial ones included
};

// Everything in the cache, sorted; an absent cache is empty. What does not follow the layout is left out. Throws Error{io}.
std::vector<CachedModel> list_cached(const std::string& cache);

// ---- writing, for downloads

std::string blob_path(const std::string& cache, const std::string& repository, const std::string& blob);
std::string lock_path(const std::string& cache, const std::string& repository, const std::string& blob);

// Makes the folders of a repository, and CACHEDIR.TAG. Below the cache no folder may be a symbolic link. Throws Error{io}.
void prepare_repository(const std::string& cache, const std::string& repository);

// Makes the link of a file to its blob and returns its path. All names must be safe ones. Throws Error{io}.
std::string link_file(const std::string& cache, const std::string& repository, const std::string& commit,
                      const std::string& file, const std::string& blob);

// Notes what commit a revision stands for, atomically. Throws Error{io}.
void write_ref(const std::string& cache, const std::string& repository, const std::string& revision, const std::string& commit);

}  // namespace bitnet::hub
