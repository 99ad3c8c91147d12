// Reads the responses API's input items and settings.
#include <algorithm>

#include "server/constraint_fields.h"
#include "server/responses.h"
#include "server/sampling_fields.h"

namespace bitnet::server {
namespace {

void refuse_stateful(const Fields& fields) {
  for (const char* name : {"previous_response_id", "conversation", "prompt"}) {
    if (fields.find(name) != nullptr) refuse_field(name, ", no response is stored here: send all items as input");
  }
  if (fields.boolean("background").value_or(false)) refuse_field("background", ", no response is stored here");
  if (fields.text("truncation").value_or("disabled") != "disabled") refuse_field("truncation", " but as \"disabled\"");
  if (fields.integer("top_logprobs", 0, 20).value_or(0) > 0) refuse_field("top_logprobs", " here; chat/completions has it");
  if (const Json* include = fields.array("include", 32)) {
    if (std::find(include->begin(), include->end(), "message.output_text.logprobs") != include->end())
      refuse_field("include", " with log-probabilities; chat/completions has them");
  }
}

void add_message(const Fields& item, Json& messages) {
  const auto role = item.text("role").value_or("");
  if (role != "system" && role != "developer" && role != "user" && role != "assistant")
    bad_field(item.name("role"), "is '{}', allowed are system, developer, user and assistant", printable(role));
  const Json* content = item.find("content");
  if (content == nullptr) bad_field(item.name("content"), "is missing");
  messages.push_back(
      {{"role", role == "developer" ? "system" : role}, {"content", content_text(*content, item.name("content"))}});
}

// Calls that follow each other, or a text of the assistant, are of one message.
void add_call(const Fields& item, Json& messages) {
  const auto name = item.text("name");
  if (!name) bad_field(item.name("name"), "is missing");
  const Json* arguments = item.find("arguments");
  Json call = tool_call_json(item.text("call_id").value_or(""), *name, arguments == nullptr ? Json::object() : *arguments,
                             item.name("arguments"));
  if (messages.empty() || messages.back()["role"] != "assistant") messages.push_back({{"role", "assistant"}, {"content", ""}});
  messages.back()["tool_calls"].push_back(std::move(call));
}

void add_item(const Json& entry, const std::string& path, Json& messages) {
  const Fields item(entry, path + ".");
  const auto type = item.text("type").value_or("message");
  if (type == "message") return add_message(item, messages);
  if (type == "function_call") return add_call(item, messages);
  if (type == "function_call_output") {
    const Json* output = item.find("output");
    if (output == nullptr) bad_field(item.name("output"), "is missing");
    messages.push_back({{"role", "tool"},
                        {"content", content_text(*output, item.name("output"))},
                        {"tool_call_id", item.text("call_id").value_or("")}});
    return;
  }
  if (type == "reasoning") return;  // of models that reason: nothing a template could show
  bad_field(item.name("type"), "is '{}', allowed are message, function_call, function_call_output and reasoning",
            printable(type));
}

Conversation read_input(const Fields& fields) {
  Conversation out;
  const Json* input = fields.find("input");
  if (input == nullptr) bad_field("input", "is missing");
  if (const auto instructions = fields.text("instructions"))
    out.messages.push_back({{"role", "system"}, {"content", *instructions}});
  if (input->is_string()) {
    out.messages.push_back({{"role", "user"}, {"content", *input}});
  } else {
    const Json* items = fields.array("input", Conversation::most_messages);
    if (items->empty()) bad_field("input", "is empty");
    for (std::size_t i = 0; i < items->size(); ++i) add_item((*items)[i], fmt::format("input[{}]", i), out.messages);
  }
  out.tools = read_tools(fields, true);
  return out;
}

// What a response says of its request. Numbers are those that were used.
Json given_back(const Fields& fields, const CompletionRequest& request) {
  Json out = Json::object();
  const auto keep = [&](const char* name, Json absent) {
    const Json* value = fields.find(name);
    out[name] = value == nullptr ? std::move(absent) : *value;
  };
  keep("instructions", nullptr), keep("max_output_tokens", nullptr), keep("max_tool_calls", nullptr);
  keep("metadata", Json::object()), keep("parallel_tool_calls", true), keep("prompt_cache_key", nullptr);
  keep("safety_identifier", nullptr), keep("tool_choice", "auto"), keep("tools", Json::array()), keep("user", nullptr);
  out["temperature"] = request.generate.sampling.temperature, out["top_p"] = request.generate.sampling.top_p;
  out["text"] = {{"format", {{"type", "text"}}}};
  if (const Json* text = fields.object("text")) out["text"].update(*text);
  return out;
}

}  // namespace

CompletionRequest read_responses_request(const Json& body, const Engine& engine) {
  const Fields fields(body);
  refuse_stateful(fields);
  CompletionRequest request;
  read_sampling(fields, engine, request.generate);
  if (const Json* text = fields.object("text")) {
    if (const Json* format = Fields(*text, "text.").object("format"))
      request.generate.constraint = format_grammar(*format, "text.format");
  }
  request.generate.max_tokens = read_token_count(fields, "max_output_tokens", 1).value_or(-1);
  request.model = fields.text("model").value_or("");
  request.stream = fields.boolean("stream").value_or(false);
  fields.boolean("store");
  request.cache_key = fields.text("prompt_cache_key").value_or("");
  request.given_back = given_back(fields, request);
  set_conversation(request, read_input(fields), engine, "input");
  return request;
}

}  // namespace bitnet::server
