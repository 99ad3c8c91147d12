// Reads requests of Ollama's clients.
#include "server/constraint_fields.h"
#include "server/ollama.h"
#include "server/sampling_fields.h"

namespace bitnet::server {
namespace {

void refuse_unsupported(const Fields& fields) {
  for (const char* name : {"suffix", "template"}) {
    if (!fields.text(name).value_or("").empty()) refuse_field(name, "");
  }
  for (const char* name : {"images", "context"}) {
    const Json* list = fields.array(name, 1 << 20);
    if (list != nullptr && !list->empty()) refuse_field(name, name[0] == 'c' ? ": send the messages to /api/chat" : "");
  }
  const Json* think = fields.find("think");
  if (think != nullptr && *think != Json(false)) refuse_field("think", " but as false");
}

void read_common(const Fields& fields, const Engine& engine, CompletionRequest& request) {
  refuse_unsupported(fields);
  static const Json none = Json::object();
  const Json* given = fields.object("options");
  const Fields options(given == nullptr ? none : *given, "options.");
  read_sampling(options, engine, request.generate);
  read_stops(options, "stop", request.generate);
  request.generate.max_tokens = read_token_count(options, "num_predict", -2).value_or(-1);
  const Json* format = fields.find("format");
  if (format != nullptr && *format != Json("") && *format != Json("json") && !format->is_object())
    bad_field("format", "is neither \"json\" nor a JSON Schema");
  if (format != nullptr && *format == Json("json")) request.generate.constraint = grammar_of_json_objects();
  if (format != nullptr && format->is_object()) request.generate.constraint = schema_grammar(*format, "format");
  if (fields.boolean("logprobs").value_or(false)) request.generate.scores = fields.integer("top_logprobs", 0, 20).value_or(0);
  request.stream = fields.boolean("stream").value_or(true);
  request.model = fields.text("model").value_or("");
}

// Asks for no token of a prompt that is never read.
CompletionRequest loading(CompletionRequest request, const Engine& engine) {
  const Tokenizer* tokenizer = engine.tokenizer();
  request.prompts = {{tokenizer != nullptr ? tokenizer->vocabulary().bos.value_or(0) : 0}};
  request.prompt_texts = {""};
  request.generate.max_tokens = 0;
  request.given_back = {{"done_reason", "load"}};
  return request;
}

}  // namespace

std::string ollama_model(const Json& body) {
  const Fields fields(body);
  std::string name = fields.text("model").value_or("");
  if (name.empty()) name = fields.text("name").value_or("");
  if (name.ends_with(":latest")) name.resize(name.size() - 7);
  return name;
}

std::string ollama_name(const std::string& name) { return name.find(':') == std::string::npos ? name + ":latest" : name; }

CompletionRequest read_ollama_generate(const Json& body, const Engine& engine) {
  const Fields fields(body);
  CompletionRequest request;
  read_common(fields, engine, request);
  const std::string prompt = fields.text("prompt").value_or("");
  if (prompt.empty()) return loading(std::move(request), engine);
  if (fields.boolean("raw").value_or(false)) {
    read_prompts(fields, engine, request);
    return request;
  }
  Conversation conversation;
  if (const auto system = fields.text("system"); system && !system->empty())
    conversation.messages.push_back({{"role", "system"}, {"content", *system}});
  conversation.messages.push_back({{"role", "user"}, {"content", prompt}});
  set_conversation(request, conversation, engine, "prompt");
  request.chat = false;
  return request;
}

CompletionRequest read_ollama_chat(const Json& body, const Engine& engine) {
  const Fields fields(body);
  CompletionRequest request;
  request.chat = true;
  read_common(fields, engine, request);
  const Json* messages = fields.array("messages", Conversation::most_messages);
  if (messages == nullptr || messages->empty()) return loading(std::move(request), engine);
  for (std::size_t i = 0; i < messages->size(); ++i) {
    const Fields message((*messages)[i], fmt::format("messages[{}].", i));
    const Json* images = message.array("images", 1024);
    if (images != nullptr && !images->empty()) refuse_field(message.name("images"), "");
  }
  set_conversation(request, read_conversation(fields), engine);
  return request;
}

}  // namespace bitnet::server
