// Which models a command answers with: one or several -m, their names, and the room they have together.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/options.h"
#include "inference/model_set.h"

namespace bitnet::cli {

struct ServedModelsOptions {
  std::vector<std::string> models;  // FILE or NAME=FILE; none: the default model, unless there is a folder
  ModelOptions model;               // how each is opened; its path is not used
  SchedulerOptions scheduler;       // of each
  std::string alias;                // of a single one
  std::string folder;
  std::int64_t most_open = 0, megabytes = 0, kv_megabytes = 0;
  int idle_seconds = 0;
};

// -m, which may be repeated, and --alias.
void add_models_flag(CLI::App& command, ServedModelsOptions& options);
// --model-folder, --max-models, --model-memory, --model-idle, --kv-memory.
void add_room_flags(CLI::App& command, ServedModelsOptions& options);

// The set, with the models of -m open; progress goes to standard error. Throws Error: for names that meet, for models that find
// no room together (with figures), what opening throws; cancelled after Ctrl-C.
std::unique_ptr<ModelSet> open_models(const ServedModelsOptions& options);

}  // namespace bitnet::cli
