// The /commands of a chat.
#include <algorithm>
#include <array>

#include "cli/chat.h"
#include "cli/terminal.h"
#include "common/error.h"

namespace bitnet::cli {
namespace {

struct ChatCommand {
  const char* names;  // separated by blanks
  const char* argument;
  const char* help;
  Next (*run)(Chat& chat, const std::string& argument);
};

[[noreturn]] void wrong_use(const char* form) { fail(ErrorKind::usage, "usage: {}", form); }

std::string required(const std::string& argument, const char* form) {
  if (argument.empty()) wrong_use(form);
  return argument;
}

// The first word, and what follows the blanks behind it.
std::pair<std::string, std::string> split_word(const std::string& text) {
  const std::size_t end = std::min(text.find_first_of(" \t\n"), text.size());
  const std::size_t rest = text.find_first_not_of(" \t\n", end);
  return {text.substr(0, end), rest == std::string::npos ? "" : text.substr(rest)};
}

Next leave(Chat&, const std::string&) { return Next::leave; }

Next clear(Chat& chat, const std::string&) {
  chat.conversation.clear();
  print_note("a new conversation");
  return Next::go_on;
}

Next system_message(Chat& chat, const std::string& argument) {
  if (!argument.empty()) chat.conversation.set_system(argument);
  const std::string text = chat.conversation.system();
  print_note(text.empty() ? "no system message" : "system message: " + printable(text, 512));
  return Next::go_on;
}

std::string value_text(const SamplingParams& params, const SamplerField& field) {
  return std::visit([&](auto member) { return fmt::format("{}", params.*member); }, field.member);
}

Next show_params(Chat& chat, const std::string&) {
  std::string text;
  for (const SamplerField& field : sampler_fields()) {
    text += fmt::format("  {:<18}{:<8}{}\n", field.name, value_text(chat.sampling, field), field.help);
  }
  text +=
      fmt::format("  {:<18}{:<8}tokens of an answer; -1 = until the context is full\n", "max-tokens", chat.options.max_tokens);
  text += fmt::format("  {:<18}{}\n", "seed", chat.sampling.seed);
  print_aside(text);
  return Next::go_on;
}

// Changes `params` or throws Error{usage}; false when it has no field of that name.
bool set_field(SamplingParams& params, const std::string& name, double value) {
  for (const SamplerField& field : sampler_fields()) {
    if (name != field.name) continue;
    std::visit(
        [&](auto member) {
          using Value = std::decay_t<decltype(params.*member)>;
          if (!(value >= -1e9 && value <= 1e9)) fail(ErrorKind::usage, "{} is {}, which is out of bounds", name, value);
          if (std::is_integral_v<Value> && value != static_cast<double>(static_cast<std::int64_t>(value))) {
            fail(ErrorKind::usage, "{} is a whole number", name);
          }
          params.*member = static_cast<Value>(value);
        },
        field.member);
    return true;
  }
  return false;
}

Next set(Chat& chat, const std::string& argument) {
  auto [name, text] = split_word(argument);
  std::replace(name.begin(), name.end(), '_', '-');
  const auto value = parse_number(text);
  if (!value) wrong_use("/set NAME NUMBER; /params lists the names");
  const auto whole = parse_integer(text);
  SamplingParams changed = chat.sampling;
  if (name == "max-tokens" && whole && *whole >= -1) {
    chat.options.max_tokens = *whole;
  } else if (name == "seed" && whole && *whole >= 0) {
    changed.seed = static_cast<std::uint64_t>(*whole);
    chat.answers = 0;
  } else if (!set_field(changed, name, *value)) {
    fail(ErrorKind::usage, "cannot set {} to {}; /params lists the names", printable(name), printable(text));
  }
  check(changed, chat.engine.config().n_vocab);
  chat.sampling = changed;
  print_note(fmt::format("{} is {}", name, text));
  return Next::go_on;
}

Next stats(Chat& chat, const std::string&) {
  print_note(chat.last ? stats_line(*chat.last, chat.engine, chat.session, chat.sampling.seed) : "no answer yet");
  return Next::go_on;
}

Next tokens(Chat& chat, const std::string& argument) {
  const Tokenizer& tokenizer = *chat.engine.tokenizer();
  if (!argument.empty()) {
    std::string text;
    const std::vector<TokenId> ids = tokenizer.encode(argument, {.add_special = false, .parse_special = true});
    for (const TokenId id : ids) text += fmt::format(" {} '{}'", id, printable(tokenizer.piece(id, true)));
    print_note(fmt::format("{} token{}:{}", ids.size(), ids.size() == 1 ? "" : "s", text));
    return Next::go_on;
  }
  for (const Json& message : chat.conversation.messages()) {
    const auto& content = message["content"].get_ref<const std::string&>();
    print_note(fmt::format("{:>6} {}: {}", tokenizer.encode(content, {.add_special = false, .parse_special = true}).size(),
                           message["role"].get<std::string>(), printable(content, 48)));
  }
  print_note(fmt::format("{} messages", chat.conversation.messages().size()));
  return Next::go_on;
}

Next context(Chat& chat, const std::string&) {
  const std::int64_t used = chat.session.cache->length(), all = chat.engine.n_ctx();
  print_note(fmt::format("{} of {} positions used ({:.1f} %), {} each", used, all,
                         100.0 * static_cast<double>(used) / static_cast<double>(all),
                         byte_text(static_cast<double>(chat.engine.kv_bytes_per_token()))));
  return Next::go_on;
}

Next undo(Chat& chat, const std::string&) {
  const auto text = chat.conversation.undo();
  print_note(text ? "dropped: " + printable(*text) : "nothing to undo");
  return Next::go_on;
}

Next retry(Chat& chat, const std::string&) {
  const auto text = chat.conversation.undo();
  if (!text) fail(ErrorKind::usage, "there is no message to answer again");
  chat.conversation.add_user(*text);
  answer(chat);
  return Next::go_on;
}

Next edit(Chat& chat, const std::string& argument) {
  required(argument, "/edit TEXT");
  if (!chat.conversation.undo()) fail(ErrorKind::usage, "there is no message to replace");
  chat.conversation.add_user(argument);
  answer(chat);
  return Next::go_on;
}

Next save(Chat& chat, const std::string& argument) {
  chat.conversation.save(required(argument, "/save FILE"));
  print_note(fmt::format("saved {} messages to {}", chat.conversation.messages().size(), printable(argument, 512)));
  return Next::go_on;
}

Next load(Chat& chat, const std::string& argument) {
  chat.conversation = Conversation::load(required(argument, "/load FILE"));
  print_note(fmt::format("loaded {} messages", chat.conversation.messages().size()));
  return Next::go_on;
}

// What was computed, not the messages: these are /save's.
Next save_state(Chat& chat, const std::string& argument) {
  chat.engine.save(chat.session, required(argument, "/save-state FILE"));
  print_note(fmt::format("saved what was computed of {} tokens to {}", chat.session.ids.size(), printable(argument, 512)));
  return Next::go_on;
}

Next load_state(Chat& chat, const std::string& argument) {
  chat.session = chat.engine.restore(required(argument, "/load-state FILE"));
  print_note(fmt::format("what was computed of {} tokens is there: a conversation that begins with them starts at once",
                         chat.session.ids.size()));
  return Next::go_on;
}

Next export_file(Chat& chat, const std::string& argument) {
  const auto [form, path] = split_word(argument);
  if ((form != "md" && form != "json") || path.empty()) wrong_use("/export md FILE or /export json FILE");
  form == "md" ? chat.conversation.save_markdown(path) : chat.conversation.save(path);
  print_note(fmt::format("wrote {}", printable(path, 512)));
  return Next::go_on;
}

Next help(Chat& chat, const std::string& argument);

constexpr std::array<ChatCommand, 19> chat_commands = {{
    {"/help /?", "", "this list", help},
    {"/exit /bye /quit", "", "leave, as does Ctrl-D", leave},
    {"/clear", "", "begin a new conversation; the system message stays", clear},
    {"/system", "[TEXT]", "set the system message, or show it", system_message},
    {"/set", "NAME NUMBER", "change how tokens are picked", set},
    {"/params", "", "show how tokens are picked", show_params},
    {"/stats", "", "how fast the last answer was", stats},
    {"/tokens", "[TEXT]", "the tokens of a text, or how many each message has", tokens},
    {"/ctx", "", "how full the context is", context},
    {"/undo", "", "drop the last message and its answer", undo},
    {"/retry /regen", "", "answer the last message again", retry},
    {"/edit", "TEXT", "replace the last message and answer it", edit},
    {"/save", "FILE", "write the conversation as JSON", save},
    {"/load", "FILE", "go on with a saved conversation", load},
    {"/save-state", "FILE", "write what was computed of the conversation, too", save_state},
    {"/load-state", "FILE", "take it up, beside /load, instead of computing it again", load_state},
    {"/export", "md|json FILE", "write the conversation for reading or for programs", export_file},
    {"\"\"\"", "TEXT \"\"\"", "a message of several lines; so is a line that ends with \\", nullptr},
    {"//", "TEXT", "a message that begins with /", nullptr},
}};

Next help(Chat&, const std::string&) {
  std::string text;
  for (const ChatCommand& command : chat_commands) {
    text += fmt::format("  {:<30}{}\n", fmt::format("{} {}", command.names, command.argument), command.help);
  }
  print_aside(text);
  return Next::go_on;
}

bool has_name(const ChatCommand& command, const std::string& name) {
  return command.run != nullptr && fmt::format(" {} ", command.names).find(fmt::format(" {} ", name)) != std::string::npos;
}

}  // namespace

Next run_chat_command(Chat& chat, const std::string& line) {
  const auto [name, argument] = split_word(line);
  for (const ChatCommand& command : chat_commands) {
    if (has_name(command, name)) return command.run(chat, argument);
  }
  print_note(fmt::format("no command {}; /help lists them", printable(name)));
  return Next::go_on;
}

}  // namespace bitnet::cli
