// `bitnet pull`: a published model into the cache, or any URL into a file.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "common/error.h"
#include "common/sha256.h"
#include "models/hub/pull.h"

namespace bitnet::cli {
namespace {

struct PullOptions {
  std::string name, output, sha256;
  bool offline = false, json = false;
  int retries = -1;
  double timeout = 0;
};

bool is_url(const std::string& text) { return text.find("://") != std::string::npos; }

hub::Settings settings_for(const PullOptions& o) {
  hub::Settings settings = hub::settings_from_environment();
  settings.offline = settings.offline || o.offline;
  if (o.retries >= 0) settings.retries = o.retries;
  if (o.timeout > 0) settings.stall_seconds = o.timeout;
  return settings;
}

// Shows where the download is, unless the environment forbids it.
hub::PullOptions shown_by(ProgressBar& bar, bool quiet) {
  hub::PullOptions options;
  options.cancel = &interrupted();
  options.on_note = [&](const std::string& note) {
    bar.clear();
    print_note(note);
  };
  if (quiet) return options;
  options.on_progress = [&](const hub::PullProgress& p) {
    bar.update(p.done, p.total, printable(p.file.substr(p.file.rfind('/') + 1), 48));
  };
  return options;
}

int pull_file(const PullOptions& o, const hub::Settings& settings, const hub::PullOptions& options, ProgressBar& bar) {
  if (o.output.empty()) fail(ErrorKind::usage, "a URL needs -o FILE");
  if (!o.sha256.empty() && !is_sha256_hex(o.sha256))
    fail(ErrorKind::usage, "--sha256 is not 64 hexadecimal digits in lower case");
  hub::pull_url(o.name, o.sha256, o.output, settings, options);
  bar.clear();
  print((o.json ? json_text({{"path", o.output}}) : o.output) + "\n");
  return exit_ok;
}

int pull_model(const PullOptions& o, const hub::Settings& settings, const hub::PullOptions& options, ProgressBar& bar) {
  if (!o.output.empty()) fail(ErrorKind::usage, "-o goes with a URL; models are kept in {}", printable(settings.cache, 512));
  if (!o.sha256.empty()) fail(ErrorKind::usage, "--sha256 goes with a URL; a model's digests come from the hub");
  const hub::ModelName name = hub::require_model_name(o.name);
  const hub::PulledModel model = hub::pull_model(name, settings, options);
  bar.clear();
  if (o.json) {
    print(json_text({{"name", name.text()},
                     {"path", model.path},
                     {"revision", model.commit},
                     {"licence", model.licence},
                     {"files", model.files},
                     {"bytes", model.bytes},
                     {"fetched", model.fetched}}) +
          "\n");
    return exit_ok;
  }
  if (!model.licence.empty() && is_terminal(STDERR_FILENO)) print_note("licence: " + printable(model.licence));
  print(model.path + "\n");
  return exit_ok;
}

int pull(const PullOptions& o) {
  const hub::Settings settings = settings_for(o);
  ProgressBar bar("pulling", "bytes");
  const hub::PullOptions options = shown_by(bar, settings.quiet);
  const InterruptGuard guard;
  try {
    return is_url(o.name) ? pull_file(o, settings, options, bar) : pull_model(o, settings, options, bar);
  } catch (const Error& error) {
    bar.clear();
    if (error.kind() != ErrorKind::cancelled) throw;
    fail(ErrorKind::cancelled, "interrupted; what was fetched is kept, the same command goes on from there");
  }
}

std::string alias_help() {
  std::string text = "Short names:";
  for (const hub::Alias& alias : hub::aliases()) text += fmt::format("\n  {:<14}{}", alias.name, alias.repository);
  return text;
}

}  // namespace

CommandBody add_pull(CLI::App& command) {
  const auto o = std::make_shared<PullOptions>();
  command.footer(
      "Prints the path of what it got. Without FILE the repository's GGUF file is chosen, I2_S before other ternary types, or\n"
      "else the HuggingFace model folder. An interrupted pull goes on where it ended; digests are verified.\n\n" +
      alias_help() +
      "\n\nEnvironment, as for the huggingface_hub library: HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_HUB_OFFLINE,\n"
      "HF_HUB_DOWNLOAD_TIMEOUT, HF_HUB_DISABLE_PROGRESS_BARS; HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE.");
  command.add_option("name", o->name, "OWNER/NAME[:FILE][@REVISION] (FILE may be a type like I2_S), a short name, or a URL")
      ->required()
      ->type_name("");
  command.add_option("-o,--output", o->output, "where a URL's file goes")->type_name("FILE");
  command.add_option("--sha256", o->sha256, "digest that a URL's file must have")->type_name("HEX");
  command.add_flag("--offline", o->offline, "no connections: say where it is in the cache");
  command.add_option("--retries", o->retries, "attempts after failures in a row; 5 when not given")
      ->type_name("N")
      ->check(CLI::Range(0, 100));
  command
      .add_option("--timeout", o->timeout,
                  "a transfer that moves next to nothing for so many seconds has failed; 30 when not given")
      ->type_name("SECONDS")
      ->check(CLI::Range(1.0, 3600.0));
  command.add_flag("--json", o->json, "one JSON object in place of the path");
  add_progress_flag(command);
  return [o] { return pull(*o); };
}

}  // namespace bitnet::cli
