// `bitnet rm`: takes models, or unfinished downloads, out of the cache after asking.
#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "common/error.h"
#include "models/hub/removal.h"
#include "models/hub/settings.h"

namespace bitnet::cli {
namespace {

struct RmOptions {
  std::string name;
  bool yes = false, prune = false;
};

// One line from a person; no for anything but y and yes.
bool agrees(const std::string& question) {
  if (!is_terminal(STDIN_FILENO)) fail(ErrorKind::usage, "{}: nobody is there to ask; --yes does it without", question);
  print_aside(question + "? [y/N] ");
  std::string answer;
  for (char c = 0; ::read(STDIN_FILENO, &c, 1) == 1 && c != '\n' && answer.size() < 16;) answer += c;
  return answer == "y" || answer == "yes";
}

int rm(const RmOptions& o) {
  if (o.name.empty() && !o.prune) fail(ErrorKind::usage, "name a model, or give --prune");
  const std::string cache = hub::cache_folder_from_environment();
  hub::ModelName name;
  if (!o.name.empty()) name = hub::require_model_name(o.name);
  const hub::Removal removal = o.prune ? hub::plan_prune(cache, name.repository) : hub::plan_removal(cache, name);
  const std::string fact = fmt::format("{}: {} file{}, {}", removal.what, removal.files, removal.files == 1 ? "" : "s",
                                       byte_text(static_cast<double>(removal.bytes)));
  if (removal.paths.empty()) {
    print_note("nothing to remove");
    return exit_ok;
  }
  if (!o.yes && !agrees("remove " + fact)) {
    print_note("nothing was removed");
    return exit_ok;
  }
  hub::carry_out(removal);
  print("removed " + fact + "\n");
  return exit_ok;
}

}  // namespace

CommandBody add_rm(CLI::App& command) {
  const auto o = std::make_shared<RmOptions>();
  command.footer("Files that another revision uses too stay. Only what lies in the cache is touched, see `bitnet list`.");
  command.add_option("name", o->name, "OWNER/NAME: all of it; @REVISION or :FILE: only that")->type_name("");
  command.add_flag("-y,--yes", o->yes, "do not ask");
  command.add_flag("--prune", o->prune, "unfinished downloads instead, of all models when none is named");
  return [o] { return rm(*o); };
}

}  // namespace bitnet::cli
