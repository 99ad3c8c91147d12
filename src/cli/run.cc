// `bitnet run`: one prompt in, its continuation out.
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/constraint_options.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "common/error.h"

namespace bitnet::cli {
namespace {

constexpr std::size_t max_prompt_bytes = 64u << 20;
constexpr std::int64_t default_max_tokens = 256;

struct RunOptions {
  ModelOptions model;
  ConstraintOptions constraint;
  SamplingOptions sampling;
  std::string positional, prompt, file, ids, system, load_state, save_state;
  std::string format = "text";
  bool chat = false, stats = false;
};

// Standard input stands before the prompt of the command line; it is read when it is no terminal.
std::string prompt_text(const RunOptions& o) {
  if (!o.file.empty()) return read_text_file(o.file, max_prompt_bytes);
  const std::string given = o.positional.empty() ? o.prompt : o.positional;
  if (is_terminal(STDIN_FILENO)) {
    if (given.empty() && o.load_state.empty())
      fail(ErrorKind::usage, "no prompt: give it as an argument, with -f FILE or on standard input");
    return given;
  }
  return read_standard_input(max_prompt_bytes) + given;
}

void check_usage(const RunOptions& o) {
  const int sources = !o.positional.empty() + !o.prompt.empty() + !o.file.empty() + !o.ids.empty();
  if (sources > 1) fail(ErrorKind::usage, "give the prompt once: as an argument, with -p, -f or --ids");
  if (!o.system.empty() && !o.chat) {
    fail(ErrorKind::usage, "--system needs --chat: without it the prompt is continued as it stands");
  }
  if (o.chat && !o.ids.empty()) fail(ErrorKind::usage, "--chat needs text, not --ids");
  if (o.chat && !o.load_state.empty()) {
    fail(ErrorKind::usage, "--load-state goes on with the text that was saved, --chat begins one: give one of them");
  }
}

std::vector<TokenId> prompt_ids(const RunOptions& o, const Engine& engine, const std::string& text) {
  if (!o.ids.empty()) return parse_ids(o.ids, "--ids");
  if (engine.tokenizer() == nullptr) fail(ErrorKind::usage, "{}: give the prompt with --ids", engine.tokenizer_problem());
  // What goes on with a text has no token that begins one.
  if (!o.chat) return engine.tokenizer()->encode(text, {.add_special = o.load_state.empty()});
  if (!engine.has_chat_template()) fail(ErrorKind::usage, "the model has no chat template: run it without --chat");
  Json messages = Json::array();
  if (!o.system.empty()) messages.push_back({{"role", "system"}, {"content", with_valid_utf8(o.system)}});
  messages.push_back({{"role", "user"}, {"content", with_valid_utf8(text)}});
  return engine.encode_chat(messages);
}

// The session to begin with, and its tokens before the prompt.
Session begin(const RunOptions& o, Engine& engine, std::vector<TokenId>& prompt) {
  if (o.load_state.empty()) return engine.new_session();
  Session session = engine.restore(o.load_state);
  prompt.insert(prompt.begin(), session.ids.begin(), session.ids.end());
  return session;
}

// Saves all of the text but a token that ends it. The last one that was drawn is not computed yet.
void save_text(const RunOptions& o, Engine& engine, Session& session, const GenerateRequest& request,
               const GenerateResult& result) {
  std::vector<TokenId> text = request.prompt;
  text.insert(text.end(), result.ids.begin(), result.ids.end());
  if (!result.ids.empty() && engine.is_end(text.back()) && !request.ignore_eos) text.pop_back();
  const std::size_t held = std::min(session.ids.size(), text.size());
  if (held < text.size()) engine.evaluate(session, std::span(text).subspan(held), {.count = 1});
  engine.save(session, o.save_state);
}

Json result_json(const GenerateRequest& request, const GenerateResult& result) {
  return {{"text", result.text},           {"ids", result.ids},
          {"prompt_ids", request.prompt},  {"finish_reason", text(result.finish_reason)},
          {"seed", request.sampling.seed}, {"timings", timings_json(result.timings)}};
}

// Prints pieces as they come: text as it is, or one JSON line each.
GenerateCallbacks callbacks_for(const std::string& format, ProgressBar& progress) {
  GenerateCallbacks callbacks;
  callbacks.on_prefill = [&progress](std::uint64_t done, std::uint64_t total) {
    progress.update(done, total);
    if (done == total) progress.clear();
  };
  if (format == "text") {
    callbacks.on_text = [](const TextPiece& piece) { print_answer(piece.text); };
  } else if (format == "jsonl") {
    callbacks.on_text = [](const TextPiece& piece) {
      const Json id = piece.id < 0 ? Json() : Json(piece.id);  // null: what was held back
      print(json_text({{"text", piece.text}, {"id", id}}, -1, true) + "\n");
    };
  }
  return callbacks;
}

void print_result(const RunOptions& o, const GenerateRequest& request, const GenerateResult& result) {
  if (o.format == "text") {
    if (!result.text.ends_with('\n')) print("\n");
    if (result.finish_reason == FinishReason::length && is_terminal(STDERR_FILENO)) {
      print_note(fmt::format("stopped after {} tokens; -n sets the limit", result.ids.size()));
    }
  } else {
    print(json_text(result_json(request, result), -1, o.format == "jsonl") + "\n");
  }
}

int run(const RunOptions& o) {
  check_usage(o);
  GenerateRequest request;
  resolve(o.sampling);  // a mistake ends it before the model is loaded
  request.max_tokens = o.sampling.max_tokens;
  request.stop = o.sampling.stop;
  request.ignore_eos = o.sampling.ignore_eos;
  request.drafts = resolve_drafts(o.sampling);
  request.constraint = resolve(o.constraint);
  request.cancel = &interrupted();
  const std::string prompt = o.ids.empty() ? prompt_text(o) : std::string();
  const InterruptGuard guard;
  const std::unique_ptr<Engine> engine = open_engine(o.model);
  request.sampling = resolve(o.sampling, engine->recommended_sampling());
  const bool only_goes_on = !o.load_state.empty() && prompt.empty() && o.ids.empty();
  if (!only_goes_on) request.prompt = prompt_ids(o, *engine, prompt);
  Session session = begin(o, *engine, request.prompt);
  ProgressBar progress("reading the prompt", "tokens");
  const GenerateResult result = engine->generate(session, request, callbacks_for(o.format, progress));
  progress.clear();
  print_result(o, request, result);
  if (!o.save_state.empty()) save_text(o, *engine, session, request, result);
  if (o.stats) print_note(stats_line(result.timings, *engine, session, request.sampling.seed));
  return result.finish_reason == FinishReason::cancelled ? exit_interrupted : exit_ok;
}

}  // namespace

CommandBody add_run(CLI::App& command) {
  const auto o = std::make_shared<RunOptions>();
  o->sampling.max_tokens = default_max_tokens;
  command.footer(
      "The prompt is continued as it stands; --chat wraps it as a question to a model that learnt to converse. The default\n"
      "model did not: it goes on with stories. A model may recommend how its tokens be drawn: flags come before that, and the\n"
      "defaults above hold where it recommends nothing. Text that comes on standard input stands before the prompt. Ctrl-C ends\n"
      "the text where it is.");
  command.add_option("text", o->positional, "the prompt")->type_name("");
  command.add_option("-p,--prompt", o->prompt, "the prompt, as a flag")->type_name("TEXT");
  command.add_option("-f,--file", o->file, "read the prompt from a file, - is standard input")->type_name("FILE");
  command.add_option("--ids", o->ids, "the prompt as token ids: 1,2,3")->type_name("IDS");
  command.add_flag("--chat", o->chat, "wrap the prompt as a user's message in the model's chat template");
  command.add_option("--system", o->system, "system message, with --chat")->type_name("TEXT");
  command.add_option("--format", o->format, "text; json: one object; jsonl: a line per piece, then the object")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"text", "json", "jsonl"}))
      ->capture_default_str();
  command
      .add_option("--load-state", o->load_state,
                  "go on with the text of this file, which --save-state wrote; the prompt, if any, comes behind it")
      ->type_name("FILE");
  command.add_option("--save-state", o->save_state, "write the text and what was computed of it, for --load-state")
      ->type_name("FILE");
  command.add_flag("--stats", o->stats, "say on standard error how fast it was");
  add_model_flag(command, o->model);
  add_constraint_flags(command, o->constraint);
  add_sampling_flags(command, o->sampling);
  add_threads_flag(command, o->model);
  add_engine_flags(command, o->model);
  return [o] { return run(*o); };
}

}  // namespace bitnet::cli
