// From messages to a prompt: by the model's template where it can say it all, in plain words where it cannot.
#include "server/conversation.h"

#include <algorithm>

#include "inference/grammar/tool_calls.h"

namespace bitnet::server {
namespace {

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

bool involves_tools(const Conversation& conversation) {
  return conversation.tools.may_call() ||
         std::any_of(conversation.messages.begin(), conversation.messages.end(),
                     [](const Json& message) { return message["role"] == "tool" || message.contains("tool_calls"); });
}

// Whether the template writes calls as answers are held to write them; what it does with tools is only seen by trying.
bool template_knows_calls(const Engine& engine) {
  static const Json messages = Json::array({{{"role", "user"}, {"content", "x"}}});
  ToolUse probe;
  probe.tools.push_back({"probe", "x", Json()});
  try {
    return engine.render_chat(messages, {tools_json(probe)}).find(tool_call_open) != std::string::npos;
  } catch (const Error&) {
    return false;
  }
}

std::string tool_text(const ToolUse& use) {
  std::string text = fmt::format(
      "You can call functions. A call is written as\n{}{{\"name\": \"NAME\", \"arguments\": {{...}}}}{}\nand only further "
      "calls "
      "may follow it. These are the functions, with JSON Schemas of their arguments:",
      tool_call_open, tool_call_close);
  for (const Json& tool : tools_json(use)) text += "\n" + dump(tool["function"]);
  return text;
}

// The same conversation without anything but text, in the roles system, user and assistant.
Json as_texts(const Conversation& conversation) {
  Json out = Json::array();
  bool was_result = false;
  for (const Json& message : conversation.messages) {
    auto text = message["content"].get<std::string>();
    auto role = message["role"].get<std::string>();
    if (message.contains("tool_calls")) {
      for (const Json& call : message["tool_calls"])
        text +=
            (text.empty() ? "" : "\n") + std::string(tool_call_open) + dump(call["function"]) + std::string(tool_call_close);
    }
    const bool is_result = role == "tool";
    if (is_result) role = "user", text = "<tool_response>\n" + text + "\n</tool_response>";
    // Templates often want the roles to take turns.
    const bool joins = role == "user" && !out.empty() && out.back()["role"] == "user" && (is_result || was_result);
    was_result = is_result;
    if (joins) {
      out.back()["content"].get_ref<std::string&>() += "\n" + text;
      continue;
    }
    out.push_back({{"role", role}, {"content", std::move(text)}});
  }
  if (!conversation.tools.may_call()) return out;
  const std::string tools = tool_text(conversation.tools);
  if (!out.empty() && out[0]["role"] == "system") {
    out[0]["content"].get_ref<std::string&>() += "\n\n" + tools;
  } else {
    out.insert(out.begin(), Json{{"role", "system"}, {"content", tools}});
  }
  return out;
}

// The prompt up to and with the last message's text, without what ends its turn. Templates may trim texts.
void cut_behind_last(std::string& prompt, std::string text) {
  std::size_t at = prompt.rfind(text);
  if (at == std::string::npos) {
    const auto blank = [](char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; };
    while (!text.empty() && blank(text.back())) text.pop_back();
    text.erase(0, std::find_if_not(text.begin(), text.end(), blank) - text.begin());
    at = prompt.rfind(text);
  }
  if (text.empty() || at == std::string::npos)
    throw ApiError(400, "invalid_request_error",
                   "the chat template does not write the last message as it is, so it cannot be continued");
  prompt.resize(at + text.size());
}

std::string paragraphs(const Json& messages) {
  std::string text;
  for (const Json& message : messages) {
    const auto& content = message["content"].get_ref<const std::string&>();
    text += (text.empty() || content.empty() ? "" : "\n\n") + content;
  }
  return text;
}

}  // namespace

std::string prompt_text(const Conversation& conversation, const Engine& engine) try {
  const bool speaks_of_tools = involves_tools(conversation);
  const bool as_is = !speaks_of_tools || (engine.has_chat_template() && template_knows_calls(engine));
  const Json messages = as_is ? conversation.messages : as_texts(conversation);
  if (!engine.has_chat_template()) return paragraphs(messages);
  const bool continues = conversation.continues_last && !messages.back()["content"].get_ref<const std::string&>().empty();
  const ChatForm form{as_is && conversation.tools.may_call() ? tools_json(conversation.tools) : Json(), !continues};
  std::string prompt = engine.render_chat(messages, form);
  if (continues) cut_behind_last(prompt, messages.back()["content"].get<std::string>());
  return prompt;
} catch (const Error& error) {
  throw api_error(error);
}

std::vector<TokenId> prompt_ids(const Conversation& conversation, const Engine& engine, const char* field) {
  const Tokenizer* tokenizer = engine.tokenizer();
  if (tokenizer == nullptr)
    throw ApiError(501, "not_supported_error", "the model has no tokenizer: " + engine.tokenizer_problem());
  const std::string text = prompt_text(conversation, engine);
  std::vector<TokenId> ids;
  try {
    ids = engine.has_chat_template() ? engine.encode_rendered(text) : tokenizer->encode(text);
  } catch (const Error& error) {
    throw api_error(error);
  }
  if (ids.empty() && tokenizer->vocabulary().bos) ids.push_back(*tokenizer->vocabulary().bos);
  if (ids.empty()) bad_field(field, "holds no text");
  if (static_cast<std::int64_t>(ids.size()) >= engine.n_ctx()) {
    throw ApiError(
        400, "invalid_request_error",
        fmt::format("the {} take {} tokens, the context holds {}, the answer included", field, ids.size(), engine.n_ctx()),
        "context_length_exceeded", field);
  }
  return ids;
}

}  // namespace bitnet::server
