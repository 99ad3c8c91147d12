// `bitnet chat`: reads messages, prints answers.
#include "cli/chat.h"

#include <unistd.h>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/line_editor.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "common/error.h"

namespace bitnet::cli {
namespace {

constexpr std::size_t shown_description = 300;
constexpr std::string_view fence = "\"\"\"";

struct ChatOptions {
  ModelOptions model;
  SamplingOptions sampling;
  std::string system;
  bool stats = false;
};

// The mark and a blank; the blank comes last because libedit prints an escape sequence only together with a character behind
// it.
std::string prompt(const std::string& mark) {
  return use_colour(STDOUT_FILENO) ? fmt::format("\001\033[1;36m\001{}\001\033[0m\001 ", mark) : mark + " ";
}

// A message of one line, of lines that end with a backslash but the last, or of everything between two fences.
InputLine read_message(LineEditor& editor) {
  InputLine message = editor.read(prompt(">"));
  const bool fenced = message.text.starts_with(fence);
  if (fenced) message.text.erase(0, fence.size());
  const auto complete = [&] { return fenced ? message.text.ends_with(fence) : !message.text.ends_with('\\'); };
  while (message.end == LineEnd::line && !complete()) {
    if (!fenced) message.text.pop_back();
    const InputLine next = editor.read(prompt("."));
    if (next.end == LineEnd::interrupted) return next;
    if (next.end == LineEnd::end_of_input) return message;
    message.text += "\n" + next.text;
  }
  if (fenced && message.end == LineEnd::line) message.text.erase(message.text.size() - fence.size());
  return message;
}

void note_end(const Chat& chat, FinishReason reason, std::int64_t generated) {
  if (reason == FinishReason::cancelled) print_note("stopped");
  if (reason != FinishReason::length) return;
  if (generated == chat.options.max_tokens) {
    print_note(fmt::format("stopped after {} tokens; /set max-tokens N sets the limit", generated));
  } else {
    print_note(fmt::format("the context of {} positions is full: /clear begins anew, /undo drops the last exchange",
                           chat.engine.n_ctx()));
  }
}

// One message or /command.
Next take(Chat& chat, const std::string& text) {
  if (text.find_first_not_of(" \t\n") == std::string::npos) return Next::go_on;
  if (text.starts_with('/') && !text.starts_with("//")) return run_chat_command(chat, text);
  chat.conversation.add_user(text.starts_with("//") ? text.substr(1) : text);
  answer(chat);
  return Next::go_on;
}

// A person gets the error and goes on; a script ends with it.
Next take_or_explain(Chat& chat, const std::string& text, bool interactive) {
  try {
    return take(chat, text);
  } catch (const Error& error) {
    if (!interactive) throw;
    print_note(error.what());
    return Next::go_on;
  }
}

int converse(Chat& chat) {
  LineEditor editor(history_path());
  if (editor.interactive()) {
    print_note(fmt::format(
        "{}, context of {} tokens. /help lists the commands, Ctrl-D leaves.",
        chat.engine.config().name.empty() ? chat.engine.config().architecture : printable(chat.engine.config().name),
        chat.engine.n_ctx()));
    if (const std::string& text = chat.engine.config().description; !text.empty())
      print_note(printable(text, shown_description));
  }
  while (true) {
    const InputLine message = read_message(editor);
    if (message.end == LineEnd::interrupted) {
      if (!editor.interactive()) return exit_interrupted;
      clear_interrupt();
      print_aside("\n");
      print_note("Ctrl-D or /exit leaves");
      continue;
    }
    if (message.end == LineEnd::end_of_input) {
      if (editor.interactive()) print_aside("\n");
      return exit_ok;
    }
    editor.remember(message.text);
    if (take_or_explain(chat, message.text, editor.interactive()) == Next::leave) return exit_ok;
    if (interrupted() && !editor.interactive()) return exit_interrupted;
    clear_interrupt();
  }
}

int chat(const ChatOptions& o) {
  const InterruptGuard guard;
  resolve(o.sampling), resolve_drafts(o.sampling);  // a mistake ends it before the model is loaded
  const std::unique_ptr<Engine> engine = open_engine(o.model);
  if (!engine->has_chat_template()) {
    fail(ErrorKind::usage, "the model has no chat template: it completes text, use `bitnet run`");
  }
  const SamplingParams sampling = resolve(o.sampling, engine->recommended_sampling());
  Chat state{
      .engine = *engine, .session = engine->new_session(), .options = o.sampling, .sampling = sampling, .show_stats = o.stats};
  state.conversation.set_system(o.system);
  return converse(state);
}

}  // namespace

std::vector<TokenId> prompt_of(const Chat& chat) { return chat.engine.encode_chat(chat.conversation.messages()); }

FinishReason answer(Chat& chat) {
  struct TakeBack {  // until there is an answer
    Conversation* conversation;
    ~TakeBack() {
      if (conversation != nullptr) conversation->undo();
    }
  } take_back{&chat.conversation};

  GenerateRequest request{.prompt = prompt_of(chat),
                          .max_tokens = chat.options.max_tokens,
                          .sampling = chat.sampling,
                          .stop = chat.options.stop,
                          .ignore_eos = chat.options.ignore_eos,
                          .cancel = &interrupted(),
                          .drafts = resolve_drafts(chat.options)};
  request.sampling.seed += chat.answers++;
  if (static_cast<std::int64_t>(request.prompt.size()) >= chat.engine.n_ctx()) {
    fail(ErrorKind::too_big,
         "the conversation has {} tokens, the context holds {}: /clear begins anew, /undo drops the last exchange",
         request.prompt.size(), chat.engine.n_ctx());
  }
  ProgressBar progress("reading", "tokens");
  GenerateCallbacks callbacks;
  callbacks.on_text = [](const TextPiece& piece) { print_answer(piece.text); };
  callbacks.on_prefill = [&](std::uint64_t done, std::uint64_t total) {
    progress.update(done, total);
    if (done == total) progress.clear();
  };
  const GenerateResult result = chat.engine.generate(chat.session, request, callbacks);
  progress.clear();
  print("\n");
  chat.last = result.timings;
  note_end(chat, result.finish_reason, result.timings.generated_tokens);
  if (chat.show_stats) print_note(stats_line(result.timings, chat.engine, chat.session, request.sampling.seed));
  if (result.finish_reason == FinishReason::cancelled && result.text.empty()) return result.finish_reason;
  take_back.conversation = nullptr;
  chat.conversation.add_assistant(result.text);
  return result.finish_reason;
}

CommandBody add_chat(CLI::App& command) {
  const auto o = std::make_shared<ChatOptions>();
  command.footer(
      "It is for models that learnt to converse. The default model did not: it goes on with the text of all messages.\n"
      "A message is a line; \"\"\" or a trailing backslash begins a longer one; /help lists commands. Ctrl-C stops an answer,\n"
      "Ctrl-D leaves. Without a terminal it reads lines and prints answers alone.\n"
      "History: $XDG_STATE_HOME/bitnet/history or ~/.local/state/bitnet/history; BITNET_NOHISTORY=1 keeps none.");
  command.add_option("--system", o->system, "system message")->type_name("TEXT");
  command.add_flag("--stats", o->stats, "say on standard error how fast each answer was");
  add_model_flag(command, o->model);
  add_sampling_flags(command, o->sampling);
  add_threads_flag(command, o->model);
  add_engine_flags(command, o->model);
  return [o] { return chat(*o); };
}

}  // namespace bitnet::cli
