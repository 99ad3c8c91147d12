// `bitnet serve`: models behind HTTP, until a signal ends it.
#include <CLI/CLI.hpp>
#include <fstream>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/options.h"
#include "cli/served_models.h"
#include "cli/terminal.h"
#include "common/error.h"
#include "server/server.h"

namespace bitnet::cli {
namespace {

struct ServeOptions {
  ServedModelsOptions models;
  server::ServerOptions server;
  std::string key_file;
  int request_seconds = 600, drain_seconds = 30;
  bool no_prefix_cache = false;
};

// One key a line; blank lines and those that begin with # are left out.
std::vector<std::string> read_keys(const std::string& path) {
  std::ifstream file(path);
  if (!file) fail(ErrorKind::not_found, "the key file {} cannot be read", printable(path, 512));
  std::vector<std::string> keys;
  for (std::string line; std::getline(file, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty() && line.front() != '#') keys.push_back(line);
  }
  if (keys.empty()) fail(ErrorKind::usage, "the key file {} holds no key", printable(path, 512));
  return keys;
}

// The names of those that are open, and the folder.
std::string what_is_served(const ServeOptions& o, const ModelSet& models) {
  std::string names;
  for (const ModelStatus& status : models.list()) {
    if (status.state == ModelState::open) names += (names.empty() ? "" : ", ") + printable(status.name);
  }
  if (o.models.folder.empty()) return names;
  return names + (names.empty() ? "" : " and ") + "the models of " + printable(o.models.folder, 512);
}

int serve(ServeOptions o) {
  if (!o.key_file.empty()) {
    for (std::string& key : read_keys(o.key_file)) o.server.api_keys.push_back(std::move(key));
  }
  for (const std::string& key : o.server.api_keys) {
    if (key.empty()) fail(ErrorKind::usage, "--api-key is empty");
  }
  o.models.scheduler.prefix_cache = !o.no_prefix_cache;
  o.server.manage_models = !o.models.folder.empty();
  o.server.request_time = std::chrono::seconds(o.request_seconds), o.server.drain_time = std::chrono::seconds(o.drain_seconds);
  const auto models = open_models(o.models);
  server::Server server(*models, o.server);
  print_note(fmt::format("serving {} on {}", what_is_served(o, *models), server.listen()));
  for (const ModelStatus& status : models->list()) {
    const ModelUse model = models->find(status.name);
    if (model != nullptr && !model->engine().has_chat_template())
      print_note(fmt::format("{} has no chat template: messages become one text that it goes on with", printable(status.name)));
  }
  if (!server.run()) {
    print_note("requests were still running when the drain time ended");
    return exit_runtime;
  }
  return exit_ok;
}

}  // namespace

CommandBody add_serve(CLI::App& command) {
  auto options = std::make_shared<ServeOptions>();
  ServeOptions& o = *options;
  add_models_flag(command, o.models);
  add_room_flags(command, o.models);
  add_threads_flag(command, o.models.model);
  add_engine_flags(command, o.models.model);
  command.add_option("--host", o.server.address.host, "address to listen on; 0.0.0.0 or :: for all")
      ->type_name("HOST")
      ->envname("BITNET_HOST")
      ->capture_default_str();
  command.add_option("--port", o.server.address.port, "port to listen on; 0 = any free one")
      ->type_name("PORT")
      ->envname("BITNET_PORT")
      ->capture_default_str();
  command.add_option("--unix-socket", o.server.address.unix_path, "listen on this socket file instead")->type_name("PATH");
  command.add_option("--parallel", o.models.scheduler.most_running, "sequences computed together")
      ->type_name("N")
      ->check(CLI::Range(1, 512))
      ->capture_default_str();
  command.add_option("--max-queue", o.models.scheduler.most_waiting, "sequences that may wait; more are refused with 429")
      ->type_name("N")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command.add_flag("--no-prefix-cache", o.no_prefix_cache, "compute every prompt from its start");
  command.add_flag("--allow-pull", o.server.allow_pull,
                   "clients may download models into the cache and delete them there (/api/pull, /api/delete)");
  command.add_option("--api-key", o.server.api_keys, "a key that clients must send; may be repeated")
      ->type_name("KEY")
      ->envname("BITNET_API_KEY")
      ->allow_extra_args(false)
      ->take_all();
  command.add_option("--api-key-file", o.key_file, "keys, one a line")->type_name("FILE");
  command.add_option("--cors-origin", o.server.cors_origins, "a site whose pages may ask, or *; may be repeated")
      ->type_name("ORIGIN")
      ->allow_extra_args(false)
      ->take_all();
  command.add_option("--allowed-host", o.server.allowed_hosts, "a name beside localhost under which it may be asked, or *")
      ->type_name("HOST")
      ->allow_extra_args(false)
      ->take_all();
  command.add_option("--request-timeout", o.request_seconds, "seconds after which an answer ends with what there is")
      ->type_name("S")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  command.add_option("--drain-timeout", o.drain_seconds, "seconds for running requests after SIGTERM")
      ->type_name("S")
      ->check(CLI::Range(0, 3600))
      ->capture_default_str();
  return [options] { return serve(*options); };
}

}  // namespace bitnet::cli
