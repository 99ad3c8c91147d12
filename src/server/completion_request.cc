// The fields of completion requests, read one by one.
#include "server/completion_request.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <random>

#include "inference/grammar/grammar.h"
#include "server/json_fields.h"

namespace bitnet::server {
namespace {

template <class T>
struct NumberField {
  const char* name;
  T SamplingParams::* member;
  double low, high;
};

// Names of OpenAI's, llama.cpp's and vLLM's fields; where two stand for one parameter, the first that is there counts. The
// exact bounds are the sampler's.
constexpr double any = 1e9;
constexpr std::array<NumberField<float>, 17> float_fields = {{
    {"temperature", &SamplingParams::temperature, 0, 100},
    {"top_p", &SamplingParams::top_p, 0, 1},
    {"min_p", &SamplingParams::min_p, 0, 1},
    {"typical_p", &SamplingParams::typical_p, 0, 1},
    {"presence_penalty", &SamplingParams::presence_penalty, -2, 2},
    {"frequency_penalty", &SamplingParams::frequency_penalty, -2, 2},
    {"repeat_penalty", &SamplingParams::repeat_penalty, 0, 10},
    {"repetition_penalty", &SamplingParams::repeat_penalty, 0, 10},
    {"dry_multiplier", &SamplingParams::dry_multiplier, 0, 100},
    {"dry_base", &SamplingParams::dry_base, 1, 10},
    {"top_n_sigma", &SamplingParams::top_n_sigma, -1, any},
    {"xtc_probability", &SamplingParams::xtc_probability, 0, 1},
    {"xtc_threshold", &SamplingParams::xtc_threshold, 0, 1},
    {"dynatemp_range", &SamplingParams::dynatemp_range, 0, 100},
    {"dynatemp_exponent", &SamplingParams::dynatemp_exponent, 0, 10},
    {"mirostat_tau", &SamplingParams::mirostat_tau, 0, 100},
    {"mirostat_eta", &SamplingParams::mirostat_eta, 0, 1},
}};
constexpr std::array<NumberField<std::int32_t>, 5> integer_fields = {{
    {"top_k", &SamplingParams::top_k, -1, any},
    {"repeat_last_n", &SamplingParams::repeat_last_n, -1, any},
    {"dry_allowed_length", &SamplingParams::dry_allowed_length, 1, any},
    {"dry_penalty_last_n", &SamplingParams::dry_penalty_last_n, -1, any},
    {"mirostat", &SamplingParams::mirostat, 0, 2},
}};

void read_stops(const Fields& fields, const CompletionLimits& limits, GenerateRequest& generate) {
  const Json* stop = fields.find("stop");
  if (stop == nullptr) return;
  const Json list = stop->is_array() ? *stop : Json::array({*stop});
  if (list.size() > static_cast<std::size_t>(limits.most_stops))
    bad_field("stop", "has {} entries, at most {} are allowed", list.size(), limits.most_stops);
  for (const Json& entry : list) {
    if (!entry.is_string()) bad_field("stop", "is not a string or a list of strings");
    auto text = entry.get<std::string>();
    if (text.empty()) continue;  // clients send "" for none
    if (text.size() > static_cast<std::size_t>(limits.most_stop_bytes))
      bad_field("stop", "has an entry of {} bytes, at most {} are allowed", text.size(), limits.most_stop_bytes);
    generate.stop.push_back(std::move(text));
  }
}

std::int64_t as_token(const std::string& text) {
  std::int64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  return error == std::errc() && end == text.data() + text.size() && !text.empty() ? id : -1;
}

void read_biases(const Fields& fields, const CompletionLimits& limits, std::int64_t n_vocab, SamplingParams& sampling) {
  const Json* biases = fields.object("logit_bias");
  if (biases == nullptr) return;
  if (biases->size() > static_cast<std::size_t>(limits.most_biases))
    bad_field("logit_bias", "has {} entries, at most {} are allowed", biases->size(), limits.most_biases);
  for (const auto& [key, value] : biases->items()) {
    const std::int64_t id = as_token(key);
    if (id < 0 || id >= n_vocab) bad_field("logit_bias", "names token '{}', allowed are 0 to {}", printable(key), n_vocab - 1);
    if (!value.is_number()) bad_field("logit_bias", "gives token {} no number", id);
    const auto bias = value.get<double>();
    if (!(bias >= -100 && bias <= 100)) bad_field("logit_bias", "is {} for token {}, allowed are -100 to 100", bias, id);
    // OpenAI: -100 and 100 ban and force.
    const float applied = bias <= -100 ? -std::numeric_limits<float>::infinity() : static_cast<float>(bias);
    sampling.logit_bias.emplace_back(static_cast<TokenId>(id), applied);
  }
}

// Fields that would change the answer and that this build does not do, with the value that changes nothing.
void refuse_unsupported(const Fields& fields) {
  const auto refuse = [](const char* name, const char* why) {
    throw ApiError(400, "invalid_request_error", fmt::format("{} is not supported{}", name, why), "unsupported_parameter",
                   name);
  };
  if (const Json* tools = fields.array("tools", 128); tools != nullptr && !tools->empty()) {
    const Json* choice = fields.find("tool_choice");
    if (choice == nullptr || *choice != "none") refuse("tools", " but with tool_choice \"none\"");
  }
  for (const char* name : {"functions", "audio", "suffix"}) {
    const Json* value = fields.find(name);
    if (value != nullptr && !(value->is_string() && value->get_ref<const std::string&>().empty())) refuse(name, "");
  }
}

// A schema as a JSON value, or as text that holds one.
std::shared_ptr<const Grammar> schema_grammar(const Json& schema) {
  return schema.is_string() ? grammar_from_json_schema(schema.get_ref<const std::string&>())
                            : grammar_from_parsed_json_schema(schema);
}

// OpenAI's response_format; llama.cpp puts a schema beside type json_object, too.
std::shared_ptr<const Grammar> response_format_grammar(const Json& value) {
  const Fields format(value, "response_format.");
  const auto type = format.text("type").value_or("text");
  if (type == "text") return nullptr;
  if (type == "json_object") {
    const Json* schema = format.find("schema");
    return schema == nullptr ? grammar_of_json_objects() : schema_grammar(*schema);
  }
  if (type != "json_schema")
    bad_field("response_format.type", "is '{}', allowed are text, json_object and json_schema", printable(type));
  const Json* wrapped = format.object("json_schema");
  if (wrapped == nullptr) bad_field("response_format.json_schema", "is missing");
  const Json* schema = Fields(*wrapped, "response_format.json_schema.").find("schema");
  if (schema == nullptr) bad_field("response_format.json_schema.schema", "is missing");
  return schema_grammar(*schema);
}

std::shared_ptr<const Grammar> choice_grammar(const Fields& fields, const char* name) {
  std::vector<std::string> choices;
  for (const Json& choice : *fields.array(name, 4096)) {
    if (!choice.is_string()) bad_field(name, "has an entry that is not a string");
    choices.push_back(choice.get<std::string>());
  }
  return grammar_from_choices(choices);
}

// By OpenAI's, llama.cpp's (grammar, json_schema) and vLLM's (guided_...) names; at most one of them.
void read_constraint(const Fields& fields, GenerateRequest& generate) {
  const char* used = nullptr;
  for (const char* name :
       {"response_format", "json_schema", "guided_json", "grammar", "guided_grammar", "guided_regex", "guided_choice"}) {
    const Json* value = fields.find(name);
    if (value == nullptr || (value->is_string() && value->get_ref<const std::string&>().empty())) continue;
    std::shared_ptr<const Grammar> grammar;
    try {
      const std::string_view form = name;
      if (form == "response_format") grammar = response_format_grammar(*fields.object(name));
      if (form == "json_schema" || form == "guided_json") grammar = schema_grammar(*value);
      if (form == "grammar" || form == "guided_grammar") grammar = grammar_from_gbnf(*fields.text(name));
      if (form == "guided_regex") grammar = grammar_from_regex(*fields.text(name));
      if (form == "guided_choice") grammar = choice_grammar(fields, name);
    } catch (const Error& error) {
      throw ApiError(400, "invalid_request_error", fmt::format("{}: {}", name, error.what()), "invalid_grammar", name);
    }
    if (grammar == nullptr) continue;
    if (used != nullptr) bad_field(name, "and {} exclude each other", used);
    used = name, generate.constraint = std::move(grammar);
  }
}

void read_common(const Fields& fields, const Engine& engine, const CompletionLimits& limits, CompletionRequest& request) {
  refuse_unsupported(fields);
  GenerateRequest& generate = request.generate;
  for (const auto& field : float_fields) {
    if (const auto value = fields.number(field.name, field.low, field.high))
      generate.sampling.*field.member = static_cast<float>(*value);
  }
  for (const auto& field : integer_fields) {
    const auto value = fields.integer(field.name, static_cast<std::int64_t>(field.low), static_cast<std::int64_t>(field.high));
    if (value) generate.sampling.*field.member = static_cast<std::int32_t>(*value);
  }
  generate.sampling.top_k = std::max(generate.sampling.top_k, 0);  // vLLM writes -1 for off
  const auto seed =
      fields.integer("seed", std::numeric_limits<std::int64_t>::min() / 2, std::numeric_limits<std::int64_t>::max() / 2);
  // llama.cpp's clients send -1 for a random one.
  generate.sampling.seed = seed && *seed != -1 ? static_cast<std::uint64_t>(*seed) : std::random_device()();
  read_constraint(fields, generate);
  read_stops(fields, limits, generate);
  read_biases(fields, limits, engine.config().n_vocab, generate.sampling);
  generate.ignore_eos = fields.boolean("ignore_eos").value_or(false);
  request.model = fields.text("model").value_or("");
  request.n = fields.integer("n", 1, limits.most_answers).value_or(1);
  request.stream = fields.boolean("stream").value_or(false);
  if (const Json* options = fields.object("stream_options"))
    request.include_usage = Fields(*options, "stream_options.").boolean("include_usage").value_or(false);
  request.cache_key = fields.text("prompt_cache_key").value_or("");
  request.priority = fields.integer("priority", -100, 100).value_or(0);
}

void check_sampling(const CompletionRequest& request, const Engine& engine) {
  try {
    check(request.generate.sampling, engine.config().n_vocab);
  } catch (const Error& error) {
    throw api_error(error);
  }
}

// Text parts of a message, joined; images and sound are refused.
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

Json read_messages(const Fields& fields, const CompletionLimits& limits) {
  const Json* list = fields.array("messages", static_cast<std::size_t>(limits.most_messages));
  if (list == nullptr) bad_field("messages", "is missing");
  if (list->empty()) bad_field("messages", "is empty");
  static constexpr std::array<std::string_view, 5> roles = {"system", "developer", "user", "assistant", "tool"};
  Json messages = Json::array();
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string path = fmt::format("messages[{}].", i);
    const Fields message((*list)[i], path);
    const auto role = message.text("role");
    if (!role) bad_field(path + "role", "is missing");
    if (std::find(roles.begin(), roles.end(), *role) == roles.end())
      bad_field(path + "role", "is '{}', allowed are system, developer, user, assistant and tool", printable(*role));
    const Json* content = message.find("content");
    if (content == nullptr && *role != "assistant") bad_field(path + "content", "is missing");
    messages.push_back({{"role", *role == "developer" ? "system" : *role},
                        {"content", content == nullptr ? "" : content_text(*content, path + "content")}});
  }
  return messages;
}

// For models without a chat template: what was said, as paragraphs of one text that the model goes on with.
std::vector<TokenId> encode_plain(const Json& messages, const Engine& engine) {
  if (engine.tokenizer() == nullptr) fail(ErrorKind::unsupported, "the model has no tokenizer: {}", engine.tokenizer_problem());
  std::string text;
  for (const Json& message : messages) {
    const auto& content = message["content"].get_ref<const std::string&>();
    text += (text.empty() || content.empty() ? "" : "\n\n") + content;
  }
  std::vector<TokenId> ids = engine.tokenizer()->encode(text);
  if (ids.empty() && engine.tokenizer()->vocabulary().bos) ids.push_back(*engine.tokenizer()->vocabulary().bos);
  if (ids.empty()) fail(ErrorKind::usage, "the messages hold no text");
  return ids;
}

// A prompt is text, ids, or a list of either.
void read_prompts(const Fields& fields, const Engine& engine, const CompletionLimits& limits, CompletionRequest& request) {
  const Json* prompt = fields.find("prompt");
  const Json empty = "";
  if (prompt == nullptr) prompt = &empty;
  const bool is_list = prompt->is_array() && (prompt->empty() || !prompt->front().is_number());
  const Json list = is_list ? *prompt : Json::array({*prompt});
  if (list.empty()) bad_field("prompt", "is empty");
  if (list.size() > static_cast<std::size_t>(limits.most_prompts))
    bad_field("prompt", "has {} entries, at most {} are allowed", list.size(), limits.most_prompts);
  const Tokenizer* tokenizer = engine.tokenizer();
  for (const Json& entry : list) {
    std::vector<TokenId> ids;
    std::string text;
    if (entry.is_string()) {
      if (tokenizer == nullptr)
        throw ApiError(501, "not_supported_error", "the model has no tokenizer: " + engine.tokenizer_problem());
      text = entry.get<std::string>();
      ids = tokenizer->encode(text);
      if (ids.empty() && tokenizer->vocabulary().bos) ids.push_back(*tokenizer->vocabulary().bos);
      if (ids.empty()) bad_field("prompt", "is empty, and the model has no token that begins a text");
    } else if (entry.is_array()) {
      for (const Json& id : entry) {
        if (!id.is_number_integer()) bad_field("prompt", "has an entry that is not a token id");
        const auto value = id.get<std::int64_t>();
        if (value < 0 || value >= engine.config().n_vocab)
          bad_field("prompt", "has the token {}, allowed are 0 to {}", value, engine.config().n_vocab - 1);
        ids.push_back(static_cast<TokenId>(value));
      }
      if (ids.empty()) bad_field("prompt", "has an entry without tokens");
      if (tokenizer != nullptr) text = tokenizer->decode(ids, true);
    } else {
      bad_field("prompt", "is not text, token ids, or a list of either");
    }
    if (static_cast<std::int64_t>(ids.size()) > engine.n_ctx()) {
      throw ApiError(400, "invalid_request_error",
                     fmt::format("the prompt has {} tokens, the context holds {}", ids.size(), engine.n_ctx()),
                     "context_length_exceeded", request.chat ? "messages" : "prompt");
    }
    request.prompts.push_back(std::move(ids)), request.prompt_texts.push_back(std::move(text));
  }
}

}  // namespace

CompletionRequest read_chat_request(const Json& body, const Engine& engine, const CompletionLimits& limits) {
  const Fields fields(body);
  CompletionRequest request;
  request.chat = true;
  read_common(fields, engine, limits, request);
  const std::int64_t most = std::numeric_limits<std::int32_t>::max();
  const auto tokens = fields.integer("max_completion_tokens", 0, most);
  request.generate.max_tokens = tokens ? *tokens : fields.integer("max_tokens", -1, most).value_or(-1);
  if (fields.boolean("logprobs").value_or(false)) request.generate.scores = fields.integer("top_logprobs", 0, 20).value_or(0);
  check_sampling(request, engine);
  const Json messages = read_messages(fields, limits);
  try {
    request.prompts.push_back(engine.has_chat_template() ? engine.encode_chat(messages) : encode_plain(messages, engine));
  } catch (const Error& error) {
    throw api_error(error);
  }
  request.prompt_texts.emplace_back();
  const std::size_t size = request.prompts.front().size();
  if (static_cast<std::int64_t>(size) >= engine.n_ctx()) {
    throw ApiError(400, "invalid_request_error",
                   fmt::format("the messages take {} tokens, the context holds {}, the answer included", size, engine.n_ctx()),
                   "context_length_exceeded", "messages");
  }
  return request;
}

CompletionRequest read_text_request(const Json& body, const Engine& engine, const CompletionLimits& limits) {
  const Fields fields(body);
  CompletionRequest request;
  read_common(fields, engine, limits, request);
  request.generate.max_tokens = fields.integer("max_tokens", -1, std::numeric_limits<std::int32_t>::max()).value_or(16);
  request.generate.scores = fields.integer("logprobs", 0, 20).value_or(-1);
  request.echo = fields.boolean("echo").value_or(false);
  request.generate.prompt_scores = request.echo && request.generate.scores >= 0;
  request.best_of = fields.integer("best_of", request.n, limits.most_answers).value_or(request.n);
  if (request.best_of > request.n && request.stream) bad_field("best_of", "is more than n, which cannot be streamed");
  check_sampling(request, engine);
  read_prompts(fields, engine, limits, request);
  return request;
}

}  // namespace bitnet::server
