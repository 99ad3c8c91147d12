// Reads messages of content blocks into a conversation.
#include "server/anthropic.h"
#include "server/constraint_fields.h"
#include "server/sampling_fields.h"

namespace bitnet::server {
namespace {

// Text alone, as a string or as blocks.
std::string text_of(const Json& content, const std::string& path) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) bad_field(path, "is not a string or a list of blocks");
  std::string text;
  for (std::size_t i = 0; i < content.size(); ++i) {
    const Fields block(content[i], fmt::format("{}[{}].", path, i));
    const auto type = block.text("type").value_or("");
    if (type != "text") bad_field(block.name("type"), "is '{}', only text is supported here", printable(type));
    text += (text.empty() ? "" : "\n") + block.text("text").value_or("");
  }
  return text;
}

// A message's blocks: its text, the calls in it, and results of calls, which are messages of their own and come before it.
class Blocks {
 public:
  explicit Blocks(bool of_assistant) : of_assistant_(of_assistant) {}

  void add(const Fields& block) {
    const auto type = block.text("type").value_or("");
    if (type == "text") {
      text_ += block.text("text").value_or(""), has_text_ = true;
    } else if (type == "tool_use" && of_assistant_) {
      const auto name = block.text("name");
      if (!name) bad_field(block.name("name"), "is missing");
      const Json* input = block.object("input");
      calls_.push_back(tool_call_json(block.text("id").value_or(""), *name, input == nullptr ? Json::object() : *input,
                                      block.name("input")));
    } else if (type == "tool_result" && !of_assistant_) {
      const Json* content = block.find("content");
      std::string text = content == nullptr ? "" : text_of(*content, block.name("content"));
      if (block.boolean("is_error").value_or(false)) text = "Error: " + text;
      results_.push_back(
          {{"role", "tool"}, {"content", std::move(text)}, {"tool_call_id", block.text("tool_use_id").value_or("")}});
    } else if (!(of_assistant_ && (type == "thinking" || type == "redacted_thinking"))) {  // those a template could not show
      bad_field(block.name("type"), "is '{}', which is not supported in a message of the {}", printable(type),
                of_assistant_ ? "assistant" : "user");
    }
  }

  void append_to(Json& messages) {
    for (Json& result : results_) messages.push_back(std::move(result));
    if (!has_text_ && !results_.empty()) return;
    messages.push_back({{"role", of_assistant_ ? "assistant" : "user"}, {"content", text_}});
    if (!calls_.empty()) messages.back()["tool_calls"] = std::move(calls_);
  }

 private:
  bool of_assistant_, has_text_ = false;
  std::string text_;
  Json calls_ = Json::array(), results_ = Json::array();
};

void read_message(const Fields& message, Json& messages) {
  const auto role = message.text("role").value_or("");
  if (role != "user" && role != "assistant")
    bad_field(message.name("role"), "is '{}', allowed are user and assistant", printable(role));
  const Json* content = message.find("content");
  if (content == nullptr) bad_field(message.name("content"), "is missing");
  if (content->is_string()) {
    messages.push_back({{"role", role}, {"content", *content}});
    return;
  }
  if (!content->is_array()) bad_field(message.name("content"), "is not a string or a list of blocks");
  Blocks blocks(role == "assistant");
  for (std::size_t i = 0; i < content->size(); ++i)
    blocks.add(Fields((*content)[i], fmt::format("{}[{}].", message.name("content"), i)));
  blocks.append_to(messages);
}

void read_tool_choice(const Fields& choice, ToolUse& use) {
  const auto type = choice.text("type").value_or("");
  if (choice.boolean("disable_parallel_tool_use").value_or(false)) use.parallel = false;
  if (type == "none") {
    use.choice = ToolChoice::none;
  } else if (type == "any") {
    if (use.tools.empty()) bad_field("tool_choice.type", "is 'any', and there are no tools");
    use.choice = ToolChoice::required;
  } else if (type == "tool") {
    require_tool(use, choice.text("name").value_or(""), "tool_choice.name");
  } else if (type != "auto") {
    bad_field("tool_choice.type", "is '{}', allowed are auto, any, tool and none", printable(type));
  }
}

ToolUse read_anthropic_tools(const Fields& fields) {
  ToolUse use;
  if (const Json* list = fields.array("tools", ToolUse::most_tools)) {
    for (std::size_t i = 0; i < list->size(); ++i) {
      const Fields tool((*list)[i], fmt::format("tools[{}].", i));
      const auto type = tool.text("type").value_or("custom");
      if (type != "custom") bad_field(tool.name("type"), "is '{}', only custom is supported", printable(type));
      const Json* schema = tool.object("input_schema");
      add_tool(use,
               {tool.text("name").value_or(""), tool.text("description").value_or(""), schema == nullptr ? Json() : *schema},
               tool.name("name"));
    }
  }
  if (const Json* choice = fields.object("tool_choice")) read_tool_choice(Fields(*choice, "tool_choice."), use);
  return use;
}

Conversation read_anthropic_conversation(const Fields& fields) {
  Conversation out;
  if (const Json* system = fields.find("system"))
    out.messages.push_back({{"role", "system"}, {"content", text_of(*system, "system")}});
  const Json* list = fields.array("messages", Conversation::most_messages);
  if (list == nullptr) bad_field("messages", "is missing");
  if (list->empty()) bad_field("messages", "is empty");
  for (std::size_t i = 0; i < list->size(); ++i)
    read_message(Fields((*list)[i], fmt::format("messages[{}].", i)), out.messages);
  out.tools = read_anthropic_tools(fields);
  out.continues_last = out.messages.back()["role"] == "assistant" && !out.messages.back().contains("tool_calls");
  return out;
}

void refuse_unsupported(const Fields& fields) {
  if (const Json* thinking = fields.object("thinking")) {
    if (Fields(*thinking, "thinking.").text("type").value_or("") != "disabled") refuse_field("thinking", " but as disabled");
  }
  if (const Json* servers = fields.array("mcp_servers", 64); servers != nullptr && !servers->empty())
    refuse_field("mcp_servers", "");
  if (fields.find("container") != nullptr) refuse_field("container", "");
}

std::shared_ptr<const Grammar> read_output_format(const Fields& fields) {
  if (const Json* format = fields.object("output_format")) return format_grammar(*format, "output_format");
  const Json* config = fields.object("output_config");
  const Json* format = config == nullptr ? nullptr : Fields(*config, "output_config.").object("format");
  return format == nullptr ? nullptr : format_grammar(*format, "output_config.format");
}

}  // namespace

CompletionRequest read_anthropic_count(const Json& body, const Engine& engine) {
  const Fields fields(body);
  refuse_unsupported(fields);
  CompletionRequest request;
  read_sampling(fields, engine, request.generate);
  read_stops(fields, "stop_sequences", request.generate);
  request.generate.constraint = read_output_format(fields);
  request.model = fields.text("model").value_or("");
  request.stream = fields.boolean("stream").value_or(false);
  set_conversation(request, read_anthropic_conversation(fields), engine);
  return request;
}

CompletionRequest read_anthropic_request(const Json& body, const Engine& engine) {
  const auto most = read_token_count(Fields(body), "max_tokens", 1);
  if (!most) bad_field("max_tokens", "is missing");
  CompletionRequest request = read_anthropic_count(body, engine);
  request.generate.max_tokens = *most;
  return request;
}

}  // namespace bitnet::server
