// Endpoints that tell: tokens, templates, health, metrics.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "server/conversation.h"
#include "server/routes.h"

namespace bitnet::server {
namespace {

namespace asio = boost::asio;
using asio::use_awaitable;

const Tokenizer& tokenizer_of(const Engine& engine) {
  if (const Tokenizer* tokenizer = engine.tokenizer()) return *tokenizer;
  throw ApiError(501, "not_supported_error", "the model has no tokenizer: " + engine.tokenizer_problem());
}

// Makes an answer of a body and the model that it names on the reading thread.
template <class Make>
asio::awaitable<void> answer(Service& service, HttpExchange& exchange, Make make) {
  const std::string& body = exchange.request().body;
  const auto work = [&service, &body, &make]() -> asio::awaitable<Json> {
    const Json json = parse_json(body);
    const ModelUse model = co_await service.model(Fields(json).text("model").value_or(""));
    co_return make(json, model->engine());
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

// llama.cpp writes content and tokens, vLLM prompt, tokens and count: both are taken, both are given.
asio::awaitable<void> tokenize(Service& service, HttpExchange& exchange) {
  co_await answer(service, exchange, [](const Json& body, const Engine& engine) -> Json {
    const Fields fields(body);
    const auto content = fields.text("content"), prompt = fields.text("prompt");
    if (!content && !prompt) bad_field("content", "is missing");
    // llama.cpp leaves the special tokens out unless asked, vLLM puts them in.
    const bool special =
        content ? fields.boolean("add_special").value_or(false) : fields.boolean("add_special_tokens").value_or(true);
    const EncodeOptions options{special, fields.boolean("parse_special").value_or(true)};
    const Tokenizer& tokenizer = tokenizer_of(engine);
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
    return {{"tokens", std::move(tokens)}, {"count", ids.size()}, {"max_model_len", engine.n_ctx()}};
  });
}

asio::awaitable<void> detokenize(Service& service, HttpExchange& exchange) {
  co_await answer(service, exchange, [](const Json& body, const Engine& engine) -> Json {
    const Tokenizer& tokenizer = tokenizer_of(engine);
    const std::vector<TokenId> ids = read_ids(Fields(body), "tokens", static_cast<std::int64_t>(tokenizer.size()));
    const std::string text = tokenizer.decode(ids, true);
    return {{"content", text}, {"prompt", text}};
  });
}

// What lm-eval asks for before it tokenizes remotely.
asio::awaitable<void> tokenizer_info(Service& service, HttpExchange& exchange) {
  const ModelUse model = co_await service.model("");
  const Tokenizer& tokenizer = tokenizer_of(model->engine());
  const auto text = [&](const std::optional<TokenId>& id) { return id ? Json(tokenizer.token_text(*id)) : Json(); };
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  const Json body = {
      {"tokenizer_class", "bitnet"},       {"model", vocabulary.model},         {"bos_token", text(vocabulary.bos)},
      {"eos_token", text(vocabulary.eos)}, {"pad_token", text(vocabulary.pad)}, {"unk_token", text(vocabulary.unk)},
      {"vocab_size", tokenizer.size()},    {"chat_template", nullptr},          {"max_model_len", model->engine().n_ctx()}};
  co_await exchange.respond(json_response(200, body));
}

asio::awaitable<void> apply_template(Service& service, HttpExchange& exchange) {
  co_await answer(service, exchange, [](const Json& body, const Engine& engine) -> Json {
    if (!engine.has_chat_template()) throw ApiError(501, "not_supported_error", "the model has no chat template");
    return {{"prompt", prompt_text(read_conversation(Fields(body)), engine)}};
  });
}

// The process lives, whatever it does.
asio::awaitable<void> live(Service&, HttpExchange& exchange) {
  const Json body = {{"status", "ok"}};
  co_await exchange.respond(json_response(200, body));
}

// It takes requests.
asio::awaitable<void> ready(Service& service, HttpExchange& exchange) {
  if (service.draining) throw ApiError(503, "unavailable_error", "the server is shutting down", "draining");
  const Json body = {{"status", "ok"}};
  co_await exchange.respond(json_response(200, body));
}

asio::awaitable<void> metrics(Service& service, HttpExchange& exchange) {
  const std::string text =
      service.metrics.text(service.models.list(), service.connections, service.options.limits, service.options.metrics_names);
  HttpResponse response{200, "text/plain; version=0.0.4; charset=utf-8", text};
  co_await exchange.respond(std::move(response));
}

asio::awaitable<void> props(Service& service, HttpExchange& exchange) {
  const ModelUse model = co_await service.model("");
  const SamplingParams& defaults = model->engine().recommended_sampling();
  const Json body = {{"default_generation_settings",
                      {{"n_ctx", model->engine().n_ctx()},
                       {"params",
                        {{"temperature", defaults.temperature},
                         {"top_k", defaults.top_k},
                         {"top_p", defaults.top_p},
                         {"min_p", defaults.min_p},
                         {"repeat_penalty", defaults.repeat_penalty},
                         {"repeat_last_n", defaults.repeat_last_n}}}}},
                     {"total_slots", model->scheduler().options().most_running},
                     {"model_alias", model->name()},
                     {"has_chat_template", model->engine().has_chat_template()},
                     {"build_info", "bitnet-" BITNET_VERSION}};
  co_await exchange.respond(json_response(200, body));
}

}  // namespace bitnet::server
