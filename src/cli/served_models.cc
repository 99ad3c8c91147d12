// Names the models of -m and opens them.
#include "cli/served_models.h"

#include <CLI/CLI.hpp>
#include <filesystem>

#include "cli/interrupt.h"
#include "cli/progress.h"
#include "common/error.h"

namespace bitnet::cli {
namespace {

struct NamedFile {
  std::string name, path;
};

// The last part of the path, without .gguf.
std::string name_of(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  std::string name = path.substr(path.find_last_of('/') + 1);
  if (name.ends_with(".gguf")) name.resize(name.size() - 5);
  return name;
}

// NAME=FILE, unless there is a file of all that name.
NamedFile named_file(const std::string& given) {
  const std::size_t equals = given.find('=');
  std::error_code ignored;
  if (equals == std::string::npos || given.find('/') < equals || std::filesystem::exists(given, ignored)) {
    const std::string path = model_path(given);
    return {name_of(path), path};
  }
  if (equals == 0 || equals + 1 == given.size())
    fail(ErrorKind::usage, "-m '{}' is not NAME=FILE: a name and a file belong to it", printable(given, 512));
  return {given.substr(0, equals), model_path(given.substr(equals + 1))};
}

std::vector<NamedFile> named_files(const ServedModelsOptions& o) {
  std::vector<NamedFile> files;
  for (const std::string& given : o.models) files.push_back(named_file(given));
  if (files.empty() && o.folder.empty()) files.push_back(named_file(""));
  if (!o.alias.empty() && files.size() != 1)
    fail(ErrorKind::usage, "--alias names one model, there are {}: write -m NAME=FILE", files.size());
  if (!o.alias.empty()) files.front().name = o.alias;
  return files;
}

}  // namespace

void add_models_flag(CLI::App& command, ServedModelsOptions& o) {
  command
      .add_option("-m,--model", o.models,
                  "model as `bitnet run` takes it, or NAME=FILE; may be repeated: requests choose by their `model` field")
      ->type_name("[NAME=]FILE")
      ->allow_extra_args(false)
      ->take_all();
  command.add_option("--alias", o.alias, "the model's name to clients; its file's name when not given")->type_name("NAME");
}

void add_room_flags(CLI::App& command, ServedModelsOptions& o) {
  command
      .add_option("--model-folder", o.folder,
                  "clients may also ask for the models in this folder by name, load and unload them; they are opened when\n"
                  "asked for")
      ->type_name("FOLDER")
      ->check(CLI::ExistingDirectory);
  command
      .add_option("--max-models", o.most_open, "models open at once; one that nobody uses makes room for another; 0 = no limit")
      ->type_name("N")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command
      .add_option("--model-memory", o.megabytes,
                  "MiB of all open models' weights and --kv-memory together; a model beyond is refused; 0 = no limit")
      ->type_name("MIB")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  command.add_option("--model-idle", o.idle_seconds, "seconds without a request after which a model is closed; 0 = never")
      ->type_name("S")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  command.add_option("--kv-memory", o.kv_megabytes, "MiB for keys and values of all sequences of a model; 0 = no limit")
      ->type_name("MIB")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
}

std::unique_ptr<ModelSet> open_models(const ServedModelsOptions& o) {
  const std::vector<NamedFile> files = named_files(o);
  ModelSource source{{}, engine_options(o.model), o.scheduler};
  source.engine.kv_bytes = static_cast<std::uint64_t>(o.kv_megabytes) << 20;
  // Of the models that are opened here; later ones are opened in silence.
  const auto progress = std::make_shared<std::atomic<ProgressBar*>>(nullptr);
  ModelSetOptions options;
  options.most_open = o.most_open, options.most_bytes = static_cast<std::uint64_t>(o.megabytes) << 20;
  options.idle_time = std::chrono::seconds(o.idle_seconds), options.folder = o.folder, options.in_folder = source;
  options.on_load = [progress](const std::string&, std::uint64_t done, std::uint64_t total) {
    ProgressBar* bar = *progress;
    if (bar == nullptr) return;
    stop_if_interrupted();
    bar->update(done, total);
  };
  auto models = std::make_unique<ModelSet>(std::move(options));
  for (const NamedFile& file : files) {
    source.path = file.path;
    models->add(file.name, source);
  }
  std::vector<ModelUse> open;  // kept, so that none is closed for the next: all must find room
  for (const NamedFile& file : files) {
    ProgressBar bar("loading", "bytes");
    const std::shared_ptr<void> ending(nullptr, [progress](void*) { *progress = nullptr; });
    *progress = &bar;
    open.push_back(models->open(file.name));
  }
  return models;
}

}  // namespace bitnet::cli
