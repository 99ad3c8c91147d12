// Pull: gets a published model into the cache, or any file from a URL, and says where it is.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "models/hub/model_name.h"
#include "models/hub/settings.h"

namespace bitnet::hub {

struct PullProgress {
  std::string file;                   // that is being fetched; its name is safe, though not for a terminal
  std::uint64_t done = 0, total = 0;  // bytes of all files of this pull, those that were there already included
};

struct PullOptions {
  std::function<void(const PullProgress&)> on_progress = [](const PullProgress&) {};  // from the calling thread, per piece
  std::function<void(const std::string&)> on_note = [](const std::string&) {};        // one line for the user now and then
  const std::atomic<bool>* cancel = nullptr;  // when true: Error{cancelled} within two seconds, what was fetched is kept
};

struct PulledModel {
  std::string path;  // the file or folder to open
  std::string commit;
  std::string licence;  // what the repository states; empty when not asked or not stated
  std::vector<std::string> files;
  std::uint64_t bytes = 0;    // of all files
  std::uint64_t fetched = 0;  // of those, got by this call
};

// Resumes what an earlier pull left, shares one download between processes through a lock, verifies SHA-256 where the server
// states one, and names a file only when it is whole and right. The revision is moved when all files are there. Offline: what
// is in the cache. Throws Error: not_found (no such model, file or revision, or offline and not here), usage (several files
// fit), too_big, io (the network, the server, the disk), runtime (access denied), unsupported (no downloads in this build),
// cancelled.
PulledModel pull_model(const ModelName& name, const Settings& settings, const PullOptions& options);

// Gets `url` to `target`, which is replaced when the file is whole. `sha256`, in lower case, may be empty. A file at `target`
// that has that digest is left as it is. The part of an interrupted attempt, "TARGET.XXXXXXXXXXXX.incomplete", is resumed where
// `sha256` or a strong ETag makes that safe. Throws as pull_model does.
void pull_url(const std::string& url, const std::string& sha256, const std::string& target, const Settings& settings,
              const PullOptions& options);

}  // namespace bitnet::hub
