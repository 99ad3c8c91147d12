// Messages in OpenAI's form, read and brought into the one that templates take.
#include <algorithm>
#include <array>

#include "server/conversation.h"

namespace bitnet::server {
namespace {

void read_calls(const Fields& message, Json& out) {
  const Json* calls = message.array("tool_calls", ToolUse::most_tools);
  if (calls == nullptr || calls->empty()) return;
  out["tool_calls"] = Json::array();
  for (std::size_t i = 0; i < calls->size(); ++i) {
    const std::string path = fmt::format("{}[{}]", message.name("tool_calls"), i);
    const Fields call((*calls)[i], path + ".");
    const Json* inner = call.object("function");
    if (inner == nullptr) bad_field(path + ".function", "is missing");
    const Fields function(*inner, path + ".function.");
    const Json* arguments = function.find("arguments");
    out["tool_calls"].push_back(tool_call_json(call.text("id").value_or(""), function.text("name").value_or(""),
                                               arguments == nullptr ? Json::object() : *arguments, function.name("arguments")));
  }
}

Json read_message(const Fields& message) {
  static constexpr std::array<std::string_view, 5> roles = {"system", "developer", "user", "assistant", "tool"};
  const auto role = message.text("role");
  if (!role) bad_field(message.name("role"), "is missing");
  if (std::find(roles.begin(), roles.end(), *role) == roles.end())
    bad_field(message.name("role"), "is '{}', allowed are system, developer, user, assistant and tool", printable(*role));
  const Json* content = message.find("content");
  if (content == nullptr && *role != "assistant") bad_field(message.name("content"), "is missing");
  Json out = {{"role", *role == "developer" ? "system" : *role},
              {"content", content == nullptr ? "" : content_text(*content, message.name("content"))}};
  if (*role == "assistant") read_calls(message, out);
  if (*role == "tool") out["tool_call_id"] = message.text("tool_call_id").value_or("");
  if (const auto name = message.text("name")) out["name"] = *name;
  return out;
}

}  // namespace

std::string content_text(const Json& content, const std::string& path) {
  if (content.is_null()) return "";
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) bad_field(path, "is not a string or a list of parts");
  std::string text;
  for (std::size_t i = 0; i < content.size(); ++i) {
    const std::string part_path = fmt::format("{}[{}]", path, i);
    const Fields part(content[i], part_path + ".");
    const auto type = part.text("type").value_or("text");
    if (type != "text" && type != "input_text" && type != "output_text" && type != "refusal")
      bad_field(part_path + ".type", "is '{}', only text is supported", printable(type));
    text += part.text(type == "refusal" ? "refusal" : "text").value_or("");
  }
  return text;
}

Json tool_call_json(const std::string& id, const std::string& name, const Json& arguments, const std::string& path) {
  Json object = arguments;
  if (arguments.is_string()) {
    const auto& text = arguments.get_ref<const std::string&>();
    try {
      object = text.empty() ? Json::object() : parse_json(text);
    } catch (const ApiError& error) {
      throw ApiError(400, "invalid_request_error", fmt::format("{}: {}", path, error.message), "", path);
    }
  }
  if (!object.is_object()) bad_field(path, "is not a JSON object");
  return {{"id", id}, {"type", "function"}, {"function", {{"name", name}, {"arguments", std::move(object)}}}};
}

Conversation read_conversation(const Fields& fields) {
  Conversation out;
  const Json* list = fields.array("messages", Conversation::most_messages);
  if (list == nullptr) bad_field("messages", "is missing");
  if (list->empty()) bad_field("messages", "is empty");
  for (std::size_t i = 0; i < list->size(); ++i)
    out.messages.push_back(read_message(Fields((*list)[i], fmt::format("messages[{}].", i))));
  out.tools = read_tools(fields, false);
  out.continues_last = fields.boolean("continue_final_message").value_or(false);
  if (!out.continues_last) return out;
  if (fields.boolean("add_generation_prompt").value_or(false))
    bad_field("continue_final_message", "and add_generation_prompt exclude each other");
  if (out.messages.back()["role"] != "assistant" || out.messages.back().contains("tool_calls"))
    bad_field("continue_final_message", "needs a text of the assistant as the last message");
  return out;
}

}  // namespace bitnet::server
