// The fields of OpenAI's completion requests, read one by one.
#include "server/completion_request.h"

#include <limits>

#include "server/constraint_fields.h"
#include "server/sampling_fields.h"

namespace bitnet::server {
namespace {

// Fields that would change the answer and that this build does not do, but for the value that changes nothing.
void refuse_unsupported(const Fields& fields) {
  for (const char* name : {"functions", "audio", "suffix"}) {
    const Json* value = fields.find(name);
    if (value != nullptr && !(value->is_string() && value->get_ref<const std::string&>().empty())) refuse_field(name, "");
  }
}

void read_common(const Fields& fields, const Engine& engine, CompletionRequest& request) {
  refuse_unsupported(fields);
  read_sampling(fields, engine, request.generate);
  read_stops(fields, "stop", request.generate);
  request.generate.constraint = read_constraint(fields);
  request.model = fields.text("model").value_or("");
  request.n = fields.integer("n", 1, CompletionLimits().most_answers).value_or(1);
  request.stream = fields.boolean("stream").value_or(false);
  if (const Json* options = fields.object("stream_options"))
    request.include_usage = Fields(*options, "stream_options.").boolean("include_usage").value_or(false);
  request.cache_key = fields.text("prompt_cache_key").value_or("");
  request.priority = fields.integer("priority", -100, 100).value_or(0);
}

}  // namespace

void refuse_field(const std::string& name, const std::string& why) {
  throw ApiError(400, "invalid_request_error", fmt::format("{} is not supported{}", name, why), "unsupported_parameter", name);
}

std::optional<std::int64_t> read_token_count(const Fields& fields, const char* name, std::int64_t least) {
  const auto count = fields.integer(name, least, std::numeric_limits<std::int32_t>::max());
  return count && *count < 0 ? -1 : count;
}

void set_conversation(CompletionRequest& request, const Conversation& conversation, const Engine& engine, const char* field) {
  request.chat = true;
  if (conversation.tools.may_call()) {
    if (request.generate.constraint != nullptr)
      refuse_field("tools", " beside a format of the answer, but with tool_choice none");
    if (request.generate.scores >= 0) refuse_field("logprobs", " beside tools");
    request.generate.constraint = tool_grammar(conversation.tools);
    request.calls = true;
  }
  request.prompts.push_back(prompt_ids(conversation, engine, field));
  request.prompt_texts.emplace_back();
}

namespace {

struct Prompt {
  std::vector<TokenId> ids;
  std::string text;
};

Prompt read_prompt_text(const std::string& text, const Engine& engine) {
  const Tokenizer* tokenizer = engine.tokenizer();
  if (tokenizer == nullptr)
    throw ApiError(501, "not_supported_error", "the model has no tokenizer: " + engine.tokenizer_problem());
  Prompt prompt{tokenizer->encode(text), text};
  if (prompt.ids.empty() && tokenizer->vocabulary().bos) prompt.ids.push_back(*tokenizer->vocabulary().bos);
  if (prompt.ids.empty()) bad_field("prompt", "is empty, and the model has no token that begins a text");
  return prompt;
}

Prompt read_prompt_ids(const Json& list, const Engine& engine) {
  Prompt prompt;
  for (const Json& id : list) {
    if (!id.is_number_integer()) bad_field("prompt", "has an entry that is not a token id");
    const auto value = id.get<std::int64_t>();
    if (value < 0 || value >= engine.config().n_vocab)
      bad_field("prompt", "has the token {}, allowed are 0 to {}", value, engine.config().n_vocab - 1);
    prompt.ids.push_back(static_cast<TokenId>(value));
  }
  if (prompt.ids.empty()) bad_field("prompt", "has an entry without tokens");
  if (engine.tokenizer() != nullptr) prompt.text = engine.tokenizer()->decode(prompt.ids, true);
  return prompt;
}

}  // namespace

void read_prompts(const Fields& fields, const Engine& engine, CompletionRequest& request) {
  const CompletionLimits limits;
  const Json empty = "";
  const Json* prompt = fields.find("prompt");
  if (prompt == nullptr) prompt = &empty;
  const bool is_list = prompt->is_array() && (prompt->empty() || !prompt->front().is_number());
  const Json list = is_list ? *prompt : Json::array({*prompt});
  if (list.empty()) bad_field("prompt", "is empty");
  if (list.size() > static_cast<std::size_t>(limits.most_prompts))
    bad_field("prompt", "has {} entries, at most {} are allowed", list.size(), limits.most_prompts);
  for (const Json& entry : list) {
    if (!entry.is_string() && !entry.is_array()) bad_field("prompt", "is not text, token ids, or a list of either");
    Prompt one = entry.is_string() ? read_prompt_text(entry.get<std::string>(), engine) : read_prompt_ids(entry, engine);
    if (static_cast<std::int64_t>(one.ids.size()) > engine.n_ctx()) {
      throw ApiError(400, "invalid_request_error",
                     fmt::format("the prompt has {} tokens, the context holds {}", one.ids.size(), engine.n_ctx()),
                     "context_length_exceeded", "prompt");
    }
    request.prompts.push_back(std::move(one.ids)), request.prompt_texts.push_back(std::move(one.text));
  }
}

CompletionRequest read_chat_request(const Json& body, const Engine& engine) {
  const Fields fields(body);
  CompletionRequest request;
  read_common(fields, engine, request);
  const auto tokens = read_token_count(fields, "max_completion_tokens", 0);
  request.generate.max_tokens = tokens ? *tokens : read_token_count(fields, "max_tokens", -1).value_or(-1);
  if (fields.boolean("logprobs").value_or(false)) request.generate.scores = fields.integer("top_logprobs", 0, 20).value_or(0);
  set_conversation(request, read_conversation(fields), engine);
  return request;
}

CompletionRequest read_text_request(const Json& body, const Engine& engine) {
  const Fields fields(body);
  CompletionRequest request;
  read_common(fields, engine, request);
  request.generate.max_tokens = read_token_count(fields, "max_tokens", -1).value_or(16);
  request.generate.scores = fields.integer("logprobs", 0, 20).value_or(-1);
  request.echo = fields.boolean("echo").value_or(false);
  request.generate.prompt_scores = request.echo && request.generate.scores >= 0;
  request.best_of = fields.integer("best_of", request.n, CompletionLimits().most_answers).value_or(request.n);
  if (request.best_of > request.n && request.stream) bad_field("best_of", "is more than n, which cannot be streamed");
  read_prompts(fields, engine, request);
  return request;
}

}  // namespace bitnet::server
