// `bitnet serve`: models behind HTTP, until a signal ends it.
#include <unistd.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <CLI/CLI.hpp>
#include <csignal>
#include <fstream>
#include <map>

#include "cli/commands.h"
#include "cli/config_file.h"
#include "cli/exit_code.h"
#include "cli/options.h"
#include "cli/served_models.h"
#include "cli/terminal.h"
#include "common/error.h"
#include "common/log.h"
#include "server/server.h"
#include "server/service_manager.h"

namespace bitnet::cli {
namespace {

struct ServeOptions {
  ServedModelsOptions models;
  server::ServerOptions server;
  std::vector<std::string> keys, metrics_names;
  std::string key_file, config_file, log_level = "info", log_format = "auto";
  int request_seconds = 600, drain_seconds = 30, body_megabytes = 4;
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

LogLevel level_of(const std::string& name) {
  static const std::map<std::string, LogLevel> levels = {
      {"debug", LogLevel::debug}, {"info", LogLevel::info}, {"warning", LogLevel::warning}, {"error", LogLevel::error}};
  const auto found = levels.find(name);
  if (found == levels.end())
    fail(ErrorKind::usage, "--log-level is '{}', allowed are debug, info, warning and error", printable(name));
  return found->second;
}

// What SIGHUP may change. Throws Error for files that are not there, empty keys and a level that is none.
server::ReloadedOptions reloadable(const ServeOptions& o) {
  server::ReloadedOptions out{o.keys, level_of(o.log_level)};
  if (!o.key_file.empty()) {
    for (std::string& key : read_keys(o.key_file)) out.api_keys.push_back(std::move(key));
  }
  for (const std::string& key : out.api_keys) {
    if (key.empty()) fail(ErrorKind::usage, "--api-key is empty");
  }
  return out;
}

// The same from a configuration file that may have changed; what flags and variables said, `fixed`, stays.
server::ReloadedOptions reloaded(ServeOptions o, const std::vector<std::string>& fixed) {
  const Settings settings = o.config_file.empty() ? Settings() : read_config(o.config_file, "serve");
  const auto fresh = [&](const char* name) {
    const bool is_fixed = std::find(fixed.begin(), fixed.end(), name) != fixed.end();
    return is_fixed ? std::nullopt : find_setting(settings, name);
  };
  if (const auto keys = fresh("api-key")) o.keys = *keys;
  if (const auto file = fresh("api-key-file")) o.key_file = file->empty() ? "" : file->back();
  if (const auto level = fresh("log-level")) o.log_level = level->empty() ? "" : level->back();
  return reloadable(o);
}

// Large buffers go back to the system when they are freed. By itself glibc takes blocks of up to 32 MiB from its heaps once
// such a block was freed: what stays between them then holds the pages of the largest requests until the process ends.
// Smaller than 4 MiB, every buffer of a token's step included, blocks are still kept for the next.
void bound_freed_memory() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 4 << 20);  // a threshold that is set stays
  mallopt(M_TRIM_THRESHOLD, 8 << 20);
#endif
}

// Files, sockets and flags, before a model is opened.
void prepare(ServeOptions& o, CLI::App& command) {
  std::signal(SIGHUP, SIG_IGN);  // until the server takes it: one that comes while models load has nothing to reload
  std::vector<std::string> fixed;
  for (const char* name : {"api-key", "api-key-file", "log-level"}) {
    if (command.get_option(std::string("--") + name)->count() > 0) fixed.emplace_back(name);
  }
  if (!o.config_file.empty()) apply_config(command, read_config(o.config_file, "serve"), o.config_file);
  const server::ReloadedOptions changeable = reloadable(o);
  o.server.api_keys = changeable.api_keys;
  o.server.reload = [o, fixed] { return reloaded(o, fixed); };
  o.server.address.inherited = server::inherited_sockets();
  if (o.server.tls.given()) server::open_tls(o.server.tls);  // says at once what is wrong with it
  o.models.scheduler.prefix_cache = !o.no_prefix_cache;
  o.server.manage_models = !o.models.folder.empty();
  o.server.request_time = std::chrono::seconds(o.request_seconds), o.server.drain_time = std::chrono::seconds(o.drain_seconds);
  o.server.limits.body_bytes = static_cast<std::uint64_t>(o.body_megabytes) << 20;
  for (const std::string& name : o.metrics_names) {
    if (name == "vllm") o.server.metrics_names.vllm = true;
    if (name == "llamacpp") o.server.metrics_names.llamacpp = true;
  }
  const bool json = o.log_format == "json" || (o.log_format == "auto" && !is_terminal(STDERR_FILENO));
  o.server.log = std::make_shared<server::LogWriter>(STDERR_FILENO, json ? server::LogFormat::json : server::LogFormat::text,
                                                     changeable.log_level);
  set_log_sink([log = o.server.log](LogLevel level, const std::string& line) { log->write(level, line); });
}

int serve(ServeOptions& o, CLI::App& command) {
  bound_freed_memory();
  prepare(o, command);
  const auto models = open_models(o.models);
  server::Server server(*models, o.server);
  log(LogLevel::info, "serving {} on {}", what_is_served(o, *models), server.listen());
  for (const ModelStatus& status : models->list()) {
    const ModelUse model = models->find(status.name);
    if (model != nullptr && !model->engine().has_chat_template())
      log(LogLevel::info, "{} has no chat template: messages become one text that it goes on with", printable(status.name));
  }
  if (server.run()) return exit_ok;
  log(LogLevel::warning, "requests were still running when the drain time ended");
  return exit_runtime;
}

void add_network_flags(CLI::App& command, ServeOptions& o) {
  command.add_option("--host", o.server.address.host, "address to listen on; 0.0.0.0 or :: for all")
      ->type_name("HOST")
      ->capture_default_str();
  command.add_option("--port", o.server.address.port, "port to listen on; 0 = any free one")
      ->type_name("PORT")
      ->capture_default_str();
  command.add_option("--unix-socket", o.server.address.unix_path, "listen on this socket file instead")->type_name("PATH");
  command
      .add_option("--tls-cert", o.server.tls.certificate,
                  "speak TLS with this certificate and its chain, PEM; not on the socket file")
      ->type_name("FILE");
  command.add_option("--tls-key", o.server.tls.key, "the certificate's private key, PEM")->type_name("FILE");
  command.add_option("--api-key", o.keys, "a key that clients must send; may be repeated")
      ->type_name("KEY")
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
  command.add_option("--max-connections", o.server.limits.connections, "connections at once; more get 503")
      ->type_name("N")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command
      .add_option("--max-connections-per-address", o.server.limits.connections_per_address,
                  "of these from one address other than loopback's")
      ->type_name("N")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command.add_option("--max-body", o.body_megabytes, "MiB of a request's body")
      ->type_name("MIB")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
}

void add_log_flags(CLI::App& command, ServeOptions& o) {
  command.add_option("--log-level", o.log_level, "debug, info (every request), warning or error")
      ->type_name("LEVEL")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  command.add_option("--log-format", o.log_format, "text, json (an object a line), or auto: text at a terminal, else json")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"auto", "text", "json"}))
      ->capture_default_str();
  command
      .add_option("--metrics-compat", o.metrics_names,
                  "give metrics under the names of vllm or llamacpp, too; both with a comma between")
      ->type_name("NAMES")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->take_all()
      ->check(CLI::IsMember({"vllm", "llamacpp"}));
}

}  // namespace

CommandBody add_serve(CLI::App& command) {
  auto options = std::make_shared<ServeOptions>();
  ServeOptions& o = *options;
  add_models_flag(command, o.models);
  add_room_flags(command, o.models);
  add_threads_flag(command, o.models.model);
  add_engine_flags(command, o.models.model);
  add_network_flags(command, o);
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
  command.add_option("--request-timeout", o.request_seconds, "seconds after which an answer ends with what there is")
      ->type_name("S")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  command.add_option("--drain-timeout", o.drain_seconds, "seconds for running requests after SIGTERM")
      ->type_name("S")
      ->check(CLI::Range(0, 3600))
      ->capture_default_str();
  add_log_flags(command, o);
  command
      .add_option("--config", o.config_file,
                  "file of settings, by the names of these flags: JSON, or TOML with a section [serve] or none")
      ->type_name("FILE");
  name_variables(command);
  command.footer(
      "A flag counts more than its environment variable, and that more than the file of --config. Sockets that a service "
      "manager\n"
      "opened (LISTEN_FDS) are listened on instead of --host and --port. SIGHUP reads keys, certificate and log level anew.");
  return [options, &command] { return serve(*options, command); };
}

}  // namespace bitnet::cli
