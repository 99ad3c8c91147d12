// `bitnet serve`: the model behind HTTP, until a signal ends it.
#include <CLI/CLI.hpp>
#include <fstream>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "common/error.h"
#include "server/server.h"

namespace bitnet::cli {
namespace {

struct ServeOptions {
  ModelOptions model;
  server::ServerOptions server;
  std::string key_file, alias;
  std::int64_t kv_megabytes = 0;
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

std::string model_name(const ServeOptions& o) {
  if (!o.alias.empty()) return o.alias;
  std::string path = model_path(o.model.path);
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  std::string name = path.substr(path.find_last_of('/') + 1);
  if (name.ends_with(".gguf")) name.resize(name.size() - 5);
  return name;
}

int serve(ServeOptions o) {
  if (!o.key_file.empty()) {
    for (std::string& key : read_keys(o.key_file)) o.server.api_keys.push_back(std::move(key));
  }
  for (const std::string& key : o.server.api_keys) {
    if (key.empty()) fail(ErrorKind::usage, "--api-key is empty");
  }
  o.server.model_name = model_name(o);
  o.server.scheduler.prefix_cache = !o.no_prefix_cache;
  o.server.request_time = std::chrono::seconds(o.request_seconds), o.server.drain_time = std::chrono::seconds(o.drain_seconds);
  o.model.engine.kv_bytes = static_cast<std::uint64_t>(o.kv_megabytes) << 20;
  const auto engine = open_engine(o.model);
  server::Server server(*engine, o.server);
  print_note(fmt::format("serving {} on {}", o.server.model_name, server.listen()));
  if (!engine->has_chat_template()) print_note("the model has no chat template: messages become one text that it goes on with");
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
  add_model_flag(command, o.model);
  add_threads_flag(command, o.model);
  add_engine_flags(command, o.model);
  command.add_option("--host", o.server.address.host, "address to listen on; 0.0.0.0 or :: for all")
      ->type_name("HOST")
      ->envname("BITNET_HOST")
      ->capture_default_str();
  command.add_option("--port", o.server.address.port, "port to listen on; 0 = any free one")
      ->type_name("PORT")
      ->envname("BITNET_PORT")
      ->capture_default_str();
  command.add_option("--unix-socket", o.server.address.unix_path, "listen on this socket file instead")->type_name("PATH");
  command.add_option("--alias", o.alias, "the model's name to clients; its file's name when not given")->type_name("NAME");
  command.add_option("--parallel", o.server.scheduler.most_running, "sequences computed together")
      ->type_name("N")
      ->check(CLI::Range(1, 512))
      ->capture_default_str();
  command.add_option("--max-queue", o.server.scheduler.most_waiting, "sequences that may wait; more are refused with 429")
      ->type_name("N")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command.add_option("--kv-memory", o.kv_megabytes, "MiB for keys and values of all sequences; 0 = no limit")
      ->type_name("MIB")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  command.add_flag("--no-prefix-cache", o.no_prefix_cache, "compute every prompt from its start");
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
