// `bitnet list`: which models are in the cache, and are they whole?
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "common/error.h"
#include "models/hub/cache.h"
#include "models/hub/settings.h"

namespace bitnet::cli {
namespace {

constexpr std::size_t commit_digits = 12;

std::uint64_t bytes_of(const hub::CachedRevision& revision) {
  std::uint64_t bytes = 0;
  for (const hub::CachedFile& file : revision.files) bytes += file.bytes;
  return bytes;
}

std::uint64_t partial_bytes(const hub::CachedModel& model) {
  std::uint64_t bytes = 0;
  for (const hub::PartialDownload& partial : model.partials) bytes += partial.bytes;
  return bytes;
}

Json revision_json(const hub::CachedModel& model, const hub::CachedRevision& revision) {
  Json files = Json::array();
  for (const hub::CachedFile& file : revision.files) {
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"complete", file.present}});
  }
  return {{"name", model.repository},    {"revision", revision.commit},
          {"refs", revision.refs},       {"path", model.folder + "/snapshots/" + revision.commit},
          {"bytes", bytes_of(revision)}, {"complete", revision.complete},
          {"files", std::move(files)}};
}

Json list_json(const std::string& cache, const std::vector<hub::CachedModel>& models) {
  Json revisions = Json::array(), partials = Json::array();
  for (const hub::CachedModel& model : models) {
    for (const hub::CachedRevision& revision : model.revisions) revisions.push_back(revision_json(model, revision));
    for (const hub::PartialDownload& partial : model.partials) {
      partials.push_back({{"name", model.repository}, {"path", partial.path}, {"bytes", partial.bytes}});
    }
  }
  return {{"cache", cache}, {"models", std::move(revisions)}, {"incomplete", std::move(partials)}};
}

// "main, v1 (0123456789ab)", or the commit alone.
std::string revision_text(const hub::CachedRevision& revision) {
  const std::string commit = printable(revision.commit, commit_digits).substr(0, commit_digits);
  if (revision.refs.empty()) return commit;
  std::string refs;
  for (const std::string& ref : revision.refs) refs += (refs.empty() ? "" : ", ") + printable(ref, 48);
  return fmt::format("{} ({})", refs, commit);
}

std::string list_text(const std::vector<hub::CachedModel>& models) {
  std::string text;
  for (const hub::CachedModel& model : models) {
    for (const hub::CachedRevision& revision : model.revisions) {
      text += fmt::format("{}  {}  {}{}\n", model.repository, revision_text(revision),
                          byte_text(static_cast<double>(bytes_of(revision))), revision.complete ? "" : "  incomplete");
      for (const hub::CachedFile& file : revision.files) {
        text += fmt::format("  {:>12}  {}\n", file.present ? byte_text(static_cast<double>(file.bytes)) : "missing",
                            printable(file.name, 512));
      }
    }
    if (!model.partials.empty()) {
      text += fmt::format("{}  {} of unfinished downloads: pull again to go on, or `bitnet rm --prune`\n", model.repository,
                          byte_text(static_cast<double>(partial_bytes(model))));
    }
  }
  return text;
}

int list(bool json) {
  const std::string cache = hub::cache_folder_from_environment();
  const std::vector<hub::CachedModel> models = hub::list_cached(cache);
  if (json) {
    print(json_text(list_json(cache, models), 2) + "\n");
    return exit_ok;
  }
  const std::string text = list_text(models);
  if (text.empty()) print_note(fmt::format("no models in {}; `bitnet pull OWNER/NAME` gets one", printable(cache, 512)));
  print(text);
  return exit_ok;
}

}  // namespace

CommandBody add_list(CLI::App& command) {
  const auto json = std::make_shared<bool>(false);
  command.footer(
      "The cache is the one of the huggingface_hub library: $HF_HUB_CACHE, $HF_HOME/hub or ~/.cache/huggingface/hub.");
  command.add_flag("--json", *json, "one JSON object in place of readable text");
  return [json] { return list(*json); };
}

}  // namespace bitnet::cli
