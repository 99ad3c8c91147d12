// Endpoints that tell: models, tokens, templates, health, metrics.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "server/json_fields.h"
#include "server/routes.h"

namespace bitnet::server {
namespace {

namespace asio = boost::asio;
using asio::use_awaitable;

Json model_json(const Service& service) {
  const ModelConfig& config = service.engine.config();
  return {{"id", service.options.model_name},
          {"object", "model"},
          {"created", 0},
          {"owned_by", "bitnet"},
          {"meta",
           {{"vocab_type", config.architecture},
            {"n_vocab", config.n_vocab},
            {"n_ctx", service.engine.n_ctx()},
            {"n_ctx_train", config.n_ctx},
            {"n_embd", config.n_embd}}}};
}

const Tokenizer& tokenizer_of(const Service& service) {
  if (const Tokenizer* tokenizer = service.engine.tokenizer()) return *tokenizer;
  throw ApiError(501, "not_supported_error", "the model has no tokenizer: " + service.engine.tokenizer_problem());
}

// Makes an answer of a body on the reading thread.
template <class Make>
asio::awaitable<void> answer(Service& service, HttpExchange& exchange, Make make) {
  const std::string& body = exchange.request().body;
  const auto work = [&body, &make]() -> asio::awaitable<Json> {
    const Json json = parse_json(body);
    co_return make(json);
  };
  const Json out = co_await asio::co_spawn(service.reading, work, use_awaitable);
  co_await exchange.respond(json_response(200, out));
}

std::vector<TokenId> read_ids(const Fields& fields, const char* name, std::int64_t n_vocab) {
  std::vector<TokenId> ids;
  const Json* list = fields.array(name, 1 << 20);
  if (list == nullptr) bad_field(fields.name(name), "is missing");
  for (const Json& entry : *list) {
    const bool fits = entry.is_number_integer() && entry.get<std::int64_t>() >= 0 && entry.get<std::int64_t>() < n_vocab;
    if (!fits) bad_field(fields.name(name), "has an entry that is not a token, allowed are 0 to {}", n_vocab - 1);
    ids.push_back(static_cast<TokenId>(entry.get<std::int64_t>()));
  }
  return ids;
}

}  // namespace

asio::awaitable<void> list_models(Service& service, HttpExchange& exchange) {
  const Json body = {{"object", "list"}, {"data", Json::array({model_json(service)})}};
  co_await exchange.respond(json_response(200, body));
}

asio::awaitable<void> one_model(Service& service, HttpExchange& exchange) {
  const std::string& path = exchange.request().path;
  const std::string name = path.substr(path.find("models/") + 7);
  if (name != service.options.model_name)
    throw ApiError(404, "not_found_error", fmt::format("there is no model '{}' here", printable(name)), "model_not_found",
                   "model");
  co_await exchange.respond(json_response(200, model_json(service)));
}

// llama.cpp writes content and tokens, vLLM prompt, tokens and count: both are taken, both are given.
asio::awaitable<void> tokenize(Service& service, HttpExchange& exchange) {
  co_await answer(service, exchange, [&service](const Json& body) -> Json {
    const Fields fields(body);
    const auto content = fields.text("content"), prompt = fields.text("prompt");
    if (!content && !prompt) bad_field("content", "is missing");
    // llama.cpp leaves the special tokens out unless asked, vLLM puts them in.
    const bool special =
        content ? fields.boolean("add_special").value_or(false) : fields.boolean("add_special_tokens").value_or(true);
    const EncodeOptions options{special, fields.boolean("parse_special").value_or(true)};
    const Tokenizer& tokenizer = tokenizer_of(service);
    const std::vector<TokenId> ids = tokenizer.encode(content ? *content : *prompt, options);
    Json tokens = Json::array();
    if (fields.boolean("with_pieces").value_or(false)) {
      for (const TokenId id : ids) {
        const std::string piece = tokenizer.piece(id, true);
        tokens.push_back({{"id", id}, {"piece", piece}});
      }
    } else {
      tokens = ids;
    }
    return {{"tokens", std::move(tokens)}, {"count", ids.size()}, {"max_model_len", service.engine.n_ctx()}};
  });
}

asio::awaitable<void> detokenize(Service& service, HttpExchange& exchange) {
  co_await answer(service, exchange, [&service](const Json& body) -> Json {
    const Tokenizer& tokenizer = tokenizer_of(service);
    const std::vector<TokenId> ids = read_ids(Fields(body), "tokens", static_cast<std::int64_t>(tokenizer.size()));
    const std::string text = tokenizer.decode(ids, true);
    return {{"content", text}, {"prompt", text}};
  });
}

// What lm-eval asks for before it tokenizes remotely.
asio::awaitable<void> tokenizer_info(Service& service, HttpExchange& exchange) {
  const Tokenizer& tokenizer = tokenizer_of(service);
  const auto text = [&](const std::optional<TokenId>& id) { return id ? Json(tokenizer.token_text(*id)) : Json(); };
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  const Json body = {
      {"tokenizer_class", "bitnet"},       {"model", vocabulary.model},         {"bos_token", text(vocabulary.bos)},
      {"eos_token", text(vocabulary.eos)}, {"pad_token", text(vocabulary.pad)}, {"unk_token", text(vocabulary.unk)},
      {"vocab_size", tokenizer.size()},    {"chat_template", nullptr},          {"max_model_len", service.engine.n_ctx()}};
  co_await exchange.respond(json_response(200, body));
}

asio::awaitable<void> apply_template(Service& service, HttpExchange& exchange) {
  co_await answer(service, exchange, [&service](const Json& body) -> Json {
    const Json* messages = Fields(body).array("messages", 1024);
    if (messages == nullptr) bad_field("messages", "is missing");
    try {
      return {{"prompt", service.engine.render_chat(*messages)}};
    } catch (const Error& error) {
      throw api_error(error);
    }
  });
}

asio::awaitable<void> health(Service& service, HttpExchange& exchange) {
  const Json body = {{"status", service.draining ? "draining" : "ok"}};
  co_await exchange.respond(json_response(200, body));
}

asio::awaitable<void> ready(Service& service, HttpExchange& exchange) {
  if (service.draining) throw ApiError(503, "unavailable_error", "the server is shutting down", "draining");
  const Json body = {{"status", "ok"}};
  co_await exchange.respond(json_response(200, body));
}

asio::awaitable<void> metrics(Service& service, HttpExchange& exchange) {
  const std::string text = service.metrics.text(service.scheduler.status(), service.connections);
  HttpResponse response{200, "text/plain; version=0.0.4; charset=utf-8", text};
  co_await exchange.respond(std::move(response));
}

asio::awaitable<void> props(Service& service, HttpExchange& exchange) {
  const SamplingParams defaults;
  const Json body = {{"default_generation_settings",
                      {{"n_ctx", service.engine.n_ctx()},
                       {"params",
                        {{"temperature", defaults.temperature},
                         {"top_k", defaults.top_k},
                         {"top_p", defaults.top_p},
                         {"min_p", defaults.min_p}}}}},
                     {"total_slots", service.options.scheduler.most_running},
                     {"model_alias", service.options.model_name},
                     {"has_chat_template", service.engine.has_chat_template()},
                     {"build_info", "bitnet-" BITNET_VERSION}};
  co_await exchange.respond(json_response(200, body));
}

}  // namespace bitnet::server
