// The bitnet program: finds the command, runs it, translates every error once.
#include <CLI/CLI.hpp>
#include <array>
#include <csignal>
#include <new>
#include <vector>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"
#include "common/log.h"

namespace bitnet::cli {
namespace {

struct CommandRow {
  const char* name;
  const char* summary;
  CommandBody (*add)(CLI::App& command);
};

constexpr std::array<CommandRow, 22> commands = {{
    {"run", "Continue a prompt", add_run},
    {"chat", "Talk with a model that has a chat template", add_chat},
    {"serve", "Answer requests over HTTP, as OpenAI's API does", add_serve},
    {"batch", "Answer a file of requests", add_batch},
    {"inspect", "Say what a model file holds, without loading it", add_inspect},
    {"tokenize", "Turn text into token ids", add_tokenize},
    {"detokenize", "Turn token ids into text", add_detokenize},
    {"logits", "Write the scores of every position as a NumPy file", add_logits},
    {"perplexity", "Measure how well a model predicts a text", add_perplexity},
    {"kld", "Measure how far a model's predictions lie from another's", add_kld},
    {"eval", "Ask a model multiple-choice questions", add_eval},
    {"convert", "Write a model in another container or with other types", add_convert},
    {"quantize", "Make a model smaller: ternary by absmean, or rounded", add_quantize},
    {"verify", "Say whether two models have the same weights", add_verify},
    {"split", "Cut a GGUF file into parts", add_split},
    {"merge", "Put the parts of a GGUF model together", add_merge},
    {"embed", "Turn texts into vectors", add_embed},
    {"bench", "Measure tokens per second, and what bounds them", add_bench},
    {"doctor", "Say what this machine can do, and test the kernels", add_doctor},
    {"pull", "Download a published model, or any file", add_pull},
    {"list", "Say which models were pulled", add_list},
    {"rm", "Remove models that were pulled", add_rm},
}};

constexpr const char* default_model_help =
    "Without -m FILE the default model is used, bitnet-tales: small, trained by this project on old children's books. It\n"
    "continues English stories: `bitnet run \"Once upon a time\"`. It cannot answer questions, follow instructions, keep\n"
    "track of a long plot, or write anything but such prose, and what it says of the world is not to be believed.\n\n";

// Defaults stand in brackets behind the description instead of in the column of names.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() {
    column_width(32);
    label("SUBCOMMAND", "COMMAND");
    label("Positionals", "Arguments");
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    return option->get_type_size() == 0 || option->get_type_name().empty() ? "" : " " + first_word(option->get_type_name());
  }
  std::string make_option_desc(const CLI::Option* option) const override {
    std::string text = option->get_description();
    if (!option->get_default_str().empty()) text += " [" + option->get_default_str() + "]";
    if (!option->get_envname().empty()) text += " [env " + option->get_envname() + "]";
    return text;
  }

 private:
  // Validators append what they accept to the name; the description says it already.
  static std::string first_word(const std::string& type_name) { return type_name.substr(0, type_name.find(':')); }
};

int report(ErrorKind kind, const std::string& line) {
  print_note(line);
  return exit_code(kind);
}

int report_usage(const CLI::App& app, const CLI::ParseError& error) {
  const auto parsed = app.get_subcommands();
  const std::string command = parsed.empty() ? "bitnet" : "bitnet " + parsed.front()->get_name();
  std::string fact = printable(error.what(), 512);
  if (parsed.empty()) {
    fact =
        app.remaining_size() == 0 ? "no command given" : fmt::format("'{}' is no command", printable(app.remaining().front()));
  }
  return report(ErrorKind::usage, fmt::format("{}; see `{} --help`", fact, command));
}

int run_command_line(int argc, char** argv) {
  CLI::App app("Runs 1-bit language models.", "bitnet");
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_version_flag("--version", "bitnet " BITNET_VERSION, "Print the version and exit");
  app.require_subcommand(1);
  app.option_defaults()->take_last();  // so that a script's flags can be overridden behind them
  app.footer(std::string(default_model_help) + "`bitnet COMMAND --help` lists the flags of a command.\n" + exit_code_help());
  std::vector<CommandBody> bodies;
  for (const CommandRow& row : commands) {
    CLI::App* command = app.add_subcommand(row.name, row.summary);
    command->group("Commands");
    bodies.push_back(row.add(*command));
    command->footer(command->get_footer() + "\n\n" + exit_code_help());
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    print(app.help() + "\n");
    return exit_ok;
  } catch (const CLI::CallForVersion& version) {
    print(std::string(version.what()) + "\n");
    return exit_ok;
  } catch (const CLI::ParseError& error) {
    return report_usage(app, error);
  }
  for (std::size_t i = 0; i < commands.size(); ++i) {
    if (app.got_subcommand(commands[i].name)) return bodies[i]();
  }
  return exit_usage;
}

void log_to_standard_error() {
  set_log_sink([](LogLevel level, const std::string& line) {
    if (level == LogLevel::warning || level == LogLevel::error) print_note(line);
  });
}

int guarded_main(int argc, char** argv) {
  try {
    return run_command_line(argc, argv);
  } catch (const OutputClosed&) {
    return exit_ok;
  } catch (const Error& error) {
    return report(error.kind(), error.what());
  } catch (const std::bad_alloc&) {
    return report(ErrorKind::too_big, "out of memory");
  } catch (const std::exception& error) {
    return report(ErrorKind::runtime, "internal error: " + printable(error.what(), 512));
  }
}

}  // namespace
}  // namespace bitnet::cli

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe then shows as EPIPE where it is written
  std::signal(SIGXFSZ, SIG_IGN);  // and a file beyond the limit of `ulimit -f` as EFBIG
  bitnet::cli::install_interrupt_handler();
  bitnet::cli::log_to_standard_error();
  return bitnet::cli::guarded_main(argc, argv);
}
