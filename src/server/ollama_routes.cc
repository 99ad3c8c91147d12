// What clients of Ollama ask for, but for downloads: answers, vectors, and which models there are.
#include <algorithm>

#include "server/embedding_job.h"
#include "server/ollama.h"

namespace bitnet::server {
namespace {

namespace asio = boost::asio;

Json details_json(const ServedModel* model) {
  const std::string family = model == nullptr ? "" : model->engine().config().architecture;
  return {{"parent_model", ""},   {"format", "gguf"},        {"family", family}, {"families", Json::array({family})},
          {"parameter_size", ""}, {"quantization_level", ""}};
}

Json model_json(const std::string& name, const ServedModel* model) {
  const std::string tagged = ollama_name(name);
  return {{"name", tagged},
          {"model", tagged},
          {"size", model == nullptr ? 0 : model->engine().weight_bytes()},
          {"digest", ""},
          {"details", details_json(model)}};
}

EmbeddingRequest read_embed(const Json& body, const Engine& engine) {
  const Fields fields(body);
  EmbeddingRequest request;
  request.dimensions = fields.integer("dimensions", 1, engine.config().n_embd).value_or(0);
  request.texts = read_texts(fields, "input", engine, fields.boolean("truncate").value_or(false));
  return request;
}

EmbeddingRequest read_embedding(const Json& body, const Engine& engine) {
  EmbeddingRequest request;
  request.texts = read_texts(Fields(body), "prompt", engine);
  if (request.texts.size() != 1) bad_field("prompt", "is not a text");
  return request;
}

}  // namespace

asio::awaitable<void> ollama_generate(Service& service, HttpExchange& exchange) {
  return answer(service, exchange, read_ollama_generate, ollama_writer, ollama_model);
}

asio::awaitable<void> ollama_chat(Service& service, HttpExchange& exchange) {
  return answer(service, exchange, read_ollama_chat, ollama_writer, ollama_model);
}

asio::awaitable<void> ollama_embed(Service& service, HttpExchange& exchange) {
  const Embeddings found = co_await embed_texts(service, exchange, read_embed, ollama_model);
  const Json body = {{"model", ollama_name(found.model->name())},
                     {"embeddings", found.vectors},
                     {"total_duration", 0},
                     {"load_duration", 0},
                     {"prompt_eval_count", found.tokens}};
  co_await exchange.respond(json_response(200, body));
}

asio::awaitable<void> ollama_embeddings(Service& service, HttpExchange& exchange) {
  const Embeddings found = co_await embed_texts(service, exchange, read_embedding, ollama_model);
  const Json body = {{"embedding", found.vectors.front()}};
  co_await exchange.respond(json_response(200, body));
}

asio::awaitable<void> ollama_version(Service&, HttpExchange& exchange) {
  const Json body = {{"version", BITNET_VERSION}};
  co_await exchange.respond(json_response(200, body));
}

asio::awaitable<void> ollama_tags(Service& service, HttpExchange& exchange) {
  Json models = Json::array();
  for (const ModelStatus& status : service.models.list()) {
    models.push_back(model_json(status.name, service.models.find(status.name).get()));
    models.back()["modified_at"] = utc_now();
  }
  const Json body = {{"models", std::move(models)}};
  co_await exchange.respond(json_response(200, body));
}

asio::awaitable<void> ollama_ps(Service& service, HttpExchange& exchange) {
  Json models = Json::array();
  for (const ModelStatus& status : service.models.list()) {
    const ModelUse model = service.models.find(status.name);
    if (model == nullptr) continue;
    models.push_back(model_json(status.name, model.get()));
    // Nothing is closed at a time that is known before.
    models.back()["expires_at"] = "2100-01-01T00:00:00Z";
    models.back()["size_vram"] = 0;
    models.back()["context_length"] = model->engine().n_ctx();
  }
  const Json body = {{"models", std::move(models)}};
  co_await exchange.respond(json_response(200, body));
}

asio::awaitable<void> ollama_show(Service& service, HttpExchange& exchange) {
  const Json asked = parse_json(exchange.request().body);
  const std::string name = ollama_model(asked);
  if (name.empty()) bad_field("model", "is missing");
  const std::vector<ModelStatus> known = service.models.list();
  const auto named = [&](const ModelStatus& status) { return status.name == name; };
  if (std::none_of(known.begin(), known.end(), named)) throw no_such_model(name);
  const ModelUse model = co_await service.model(name);
  const ModelConfig& config = model->engine().config();
  const std::string& family = config.architecture;
  const Json info = {{"general.architecture", family},
                     {family + ".context_length", model->engine().n_ctx()},
                     {family + ".embedding_length", config.n_embd},
                     {family + ".vocab_size", config.n_vocab}};
  const Json body = {{"modelfile", ""},
                     {"parameters", fmt::format("num_ctx {}", model->engine().n_ctx())},
                     {"template", model->engine().has_chat_template() ? "{{ .Messages }}" : "{{ .Prompt }}"},
                     {"license", ""},
                     {"details", details_json(model.get())},
                     {"model_info", info},
                     {"capabilities", Json::array({"completion", "tools"})},
                     {"modified_at", utc_now()}};
  co_await exchange.respond(json_response(200, body));
}

}  // namespace bitnet::server
