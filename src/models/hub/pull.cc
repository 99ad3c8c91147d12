// Puts it together: which files, what the server says of them, what is missing, and the links at the end.
#include "models/hub/pull.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>

#include "common/checked.h"
#include "common/sha256.h"
#include "models/hub/cache.h"
#include "models/hub/download.h"
#include "models/hub/file_choice.h"
#include "models/hub/file_lock.h"
#include "models/hub/repository.h"
#include "models/hub/retry.h"

namespace bitnet::hub {
namespace {

constexpr std::uint64_t spare_bytes = 1 << 20;  // folders and links need room, too

std::uint64_t size_or_zero(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) ? static_cast<std::uint64_t>(status.st_size) : 0;
}

bool is_whole(const std::string& path, std::uint64_t size) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && static_cast<std::uint64_t>(status.st_size) == size;
}

// Throws Error{io} unless the file system of `folder` has room for so many more bytes.
void check_free_space(const std::string& folder, std::uint64_t bytes) {
  struct statvfs status = {};
  if (bytes == 0 || ::statvfs(folder.c_str(), &status) != 0) return;
  const std::uint64_t unknown = std::numeric_limits<std::uint64_t>::max();
  const std::uint64_t free = checked_mul(status.f_bavail, status.f_frsize).value_or(unknown);
  const std::uint64_t needed = checked_add(bytes, spare_bytes).value_or(unknown);
  if (needed > free) fail(ErrorKind::io, "{}: {} bytes are needed, the disk has {} free", printable(folder, 512), needed, free);
}

struct WantedFile {
  std::string name;
  FileFacts facts;
};

// One call of pull_model.
class Pull {
 public:
  Pull(const ModelName& name, const Settings& settings, const PullOptions& options)
      : name_(name), settings_(settings), options_(options), client_(settings, options.cancel) {}

  PulledModel run() {
    choose();
    ask_for_facts();
    prepare_repository(settings_.cache, name_.repository);
    make_sure_of_room();
    for (const WantedFile& file : files_) get(file);
    write_ref(settings_.cache, name_.repository, name_.revision_or_main(), result_.commit);
    const std::string snapshot =
        fmt::format("{}/{}/snapshots/{}", settings_.cache, repository_folder(name_.repository), result_.commit);
    result_.path = main_.empty() ? snapshot : snapshot + "/" + main_;
    return result_;
  }

 private:
  template <class Attempt>
  auto retried(Attempt attempt) {
    return with_retries(settings_.retries, options_.cancel, attempt);
  }

  // A file that is named in full needs no list; everything else is chosen from one.
  void choose() {
    if (is_file_name(name_.file)) {
      result_.files = parts_of(name_.file);
      main_ = result_.files.front();
      if (result_.files.size() == 1) main_ = name_.file;
      return;
    }
    const FileList list = retried([&] { return request_files(client_, settings_, name_); });
    const FileChoice choice = choose_files(list.names, name_.file, name_.repository);
    result_.files = choice.files;
    main_ = choice.main;
    result_.commit = list.commit;
    result_.licence = list.licence;
  }

  // All files of one commit, though the branch may move in between.
  void ask_for_facts() {
    for (const std::string& file : result_.files) {
      const std::string revision = result_.commit.empty() ? name_.revision_or_main() : result_.commit;
      FileFacts facts = retried([&] { return request_facts(client_, settings_, name_, revision, file); });
      if (result_.commit.empty()) result_.commit = facts.commit;
      if (facts.commit != result_.commit) {
        fail(ErrorKind::io, "{}: the server answers for commit {} with {}", name_.repository, result_.commit, facts.commit);
      }
      result_.bytes += facts.size;
      files_.push_back({file, std::move(facts)});
    }
  }

  std::string blob(const WantedFile& file) const { return blob_path(settings_.cache, name_.repository, file.facts.blob); }
  bool have(const WantedFile& file) const { return is_whole(blob(file), file.facts.size); }

  void make_sure_of_room() {
    std::uint64_t missing = 0;
    for (const WantedFile& file : files_) {
      if (!have(file)) missing += file.facts.size - std::min(size_or_zero(blob(file) + ".incomplete"), file.facts.size);
    }
    check_free_space(settings_.cache, missing);
  }

  void report(const WantedFile& file, std::uint64_t done) const {
    options_.on_progress({file.name, before_ + done, result_.bytes});
  }

  void get(const WantedFile& file) {
    if (!have(file)) get_blob(file);
    report(file, file.facts.size);
    before_ += file.facts.size;
    link_file(settings_.cache, name_.repository, result_.commit, file.name, file.facts.blob);
  }

  void get_blob(const WantedFile& file) {
    const FileLock lock = FileLock::wait(lock_path(settings_.cache, name_.repository, file.facts.blob), options_.cancel, [&] {
      options_.on_note(fmt::format("{}: waiting for another program that pulls it", printable(file.name, 256)));
    });
    if (have(file)) return;
    Download download{.url = file_url(settings_, name_.repository, result_.commit, file.name),
                      .what = name_.repository + "/" + printable(file.name, 256),
                      .size = file.facts.size,
                      .sha256 = file.facts.sha256,
                      .if_range = file.facts.sha256.empty() ? file.facts.etag : "",
                      .partial = blob(file) + ".incomplete",
                      .target = blob(file)};
    std::uint64_t start = 0;
    bool first = true;
    fetch(client_, settings_, download, options_.cancel, [&](std::uint64_t done) {
      if (first) start = done;
      first = false;
      report(file, done);
    });
    result_.fetched += file.facts.size - start;
  }

  const ModelName& name_;
  const Settings& settings_;
  const PullOptions& options_;
  HttpClient client_;
  std::string main_;
  std::vector<WantedFile> files_;
  std::uint64_t before_ = 0;  // bytes of the files that are done
  PulledModel result_;
};

PulledModel pull_offline(const ModelName& name, const Settings& settings) {
  if (const auto path = find_cached(settings.cache, name)) {
    PulledModel model;
    model.path = *path;
    model.commit = cached_commit(settings.cache, name.repository, name.revision_or_main()).value_or("");
    return model;
  }
  fail(ErrorKind::not_found, "{}: is not in the cache at {}, and downloads are off (--offline, HF_HUB_OFFLINE)", name.text(),
       printable(settings.cache, 512));
}

std::string sha256_of_file(const std::string& path, const std::atomic<bool>* cancel) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return "";
  Sha256 hash;
  std::vector<std::byte> buffer(1 << 20);
  ssize_t count = 0;
  while ((count = ::read(descriptor, buffer.data(), buffer.size())) > 0 && (cancel == nullptr || !*cancel)) {
    hash.update(std::span(buffer).first(static_cast<std::size_t>(count)));
  }
  ::close(descriptor);
  return count == 0 ? hash.hex() : "";
}

// Names the part after what it is a part of, so that another file at the same URL does not go on from it.
std::string partial_of(const std::string& target, const std::string& url, const FileFacts& facts, const std::string& sha256) {
  Sha256 hash;
  hash.update(fmt::format("{}\n{}\n{}\n{}", sha256.empty() ? url : "", sha256, sha256.empty() ? facts.etag : "", facts.size));
  return fmt::format("{}.{}.incomplete", target, hash.hex().substr(0, 12));
}

}  // namespace

PulledModel pull_model(const ModelName& name, const Settings& settings, const PullOptions& options) {
  if (settings.offline) return pull_offline(name, settings);
  return Pull(name, settings, options).run();
}

void pull_url(const std::string& url, const std::string& sha256, const std::string& target, const Settings& settings,
              const PullOptions& options) {
  struct stat status = {};
  if (::stat(target.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    fail(ErrorKind::usage, "{}: exists and is no regular file", printable(target, 512));
  }
  if (!sha256.empty() && sha256_of_file(target, options.cancel) == sha256) return;
  if (settings.offline) fail(ErrorKind::not_found, "{}: downloads are off (--offline, HF_HUB_OFFLINE)", printable(url, 256));
  HttpClient client(settings, options.cancel);
  const FileFacts facts =
      with_retries(settings.retries, options.cancel, [&] { return request_url_facts(client, settings, url); });
  const std::string wanted = sha256.empty() ? facts.sha256 : sha256;
  Download download{.url = url,
                    .what = printable(url, 256),
                    .size = facts.size,
                    .sha256 = wanted,
                    .if_range = wanted.empty() ? facts.etag : "",
                    .partial = partial_of(target, url, facts, wanted),
                    .target = target};
  const std::string folder = std::filesystem::path(target).parent_path().string();
  check_free_space(folder.empty() ? "." : folder, facts.size - std::min(size_or_zero(download.partial), facts.size));
  fetch(client, settings, download, options.cancel,
        [&](std::uint64_t done) { options.on_progress({target, done, facts.size}); });
}

}  // namespace bitnet::hub
