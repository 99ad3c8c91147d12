// Which model answers a request, the list of models, and POST /models/load and /models/unload.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/log.h"
#include "server/bell.h"
#include "server/json_fields.h"
#include "server/routes.h"

namespace bitnet::server {
namespace {

namespace asio = boost::asio;
using asio::use_awaitable;

// What the set's thread and a waiting coroutine share; it outlives either.
struct Opening {
  ModelUse model;
  std::optional<ApiError> error;
  std::atomic<bool> done{false};
};

// The set's own refusals tell figures; what else went wrong names the server's files, which are no client's business.
ApiError failure_of(const std::string& name, const ModelFailure& failure) {
  if (failure.no_room) return {503, "unavailable_error", failure.error.what(), "no_room"};
  if (failure.error.kind() == ErrorKind::not_found) return no_such_model(name);
  if (failure.error.kind() == ErrorKind::cancelled)
    return {503, "unavailable_error", "the server is shutting down", "draining"};
  log(LogLevel::error, "model '{}' cannot be opened: {}", printable(name), failure.error.what());
  return {500, "server_error", fmt::format("the model '{}' cannot be opened; the server's log says why", printable(name)),
          "model_load_failed"};
}

// Runs on the context, as a bell must be waited for.
asio::awaitable<ModelUse> open_model(Service& service, std::string name) {
  const auto opening = std::make_shared<Opening>();
  const auto bell = std::make_shared<Bell>(service.context);
  service.models.open(name, [opening, bell, name](ModelUse model, const ModelFailure* failure) {
    opening->model = std::move(model);
    if (failure != nullptr) opening->error = failure_of(name, *failure);
    opening->done = true;
    bell->ring();
  });
  while (!opening->done) co_await bell->wait(service.options.heartbeat);
  if (opening->error) throw ApiError(*opening->error);
  co_return std::move(opening->model);
}

// llama.cpp's words for what becomes of a model.
const char* status_word(ModelState state) {
  if (state == ModelState::opening) return "loading";
  return state == ModelState::closed ? "unloaded" : "loaded";
}

Json model_json(Service& service, const ModelStatus& status) {
  Json json = {{"id", status.name},
               {"object", "model"},
               {"created", 0},
               {"owned_by", "bitnet"},
               {"status", {{"value", status_word(status.state)}}}};
  const ModelUse model = service.models.find(status.name);
  if (model == nullptr) return json;
  const ModelConfig& config = model->engine().config();
  json["meta"] = {{"vocab_type", config.architecture},
                  {"n_vocab", config.n_vocab},
                  {"n_ctx", model->engine().n_ctx()},
                  {"n_ctx_train", config.n_ctx},
                  {"n_embd", config.n_embd}};
  return json;
}

// The model that a body of /models/load or /models/unload names. A name, never a path: it is looked up among those there are.
std::string managed_model(const Service& service, const HttpExchange& exchange) {
  if (!service.options.manage_models)
    throw ApiError(403, "permission_error", "models cannot be loaded or unloaded here; --model-folder allows it");
  const Json body = parse_json(exchange.request().body);
  const auto name = Fields(body).text("model");
  if (!name) bad_field("model", "is missing");
  if (service.models.name_for(*name) != *name) throw no_such_model(*name);
  return *name;
}

}  // namespace

ApiError no_such_model(const std::string& name) {
  return {404, "not_found_error", fmt::format("there is no model '{}' here; GET /v1/models lists them", printable(name)),
          "model_not_found", "model"};
}

asio::awaitable<ModelUse> Service::model(std::string asked) {
  const std::optional<std::string> name = models.name_for(asked);
  if (!name && asked.empty()) bad_field("model", "is missing, and no model was given to the server by name");
  if (!name) throw no_such_model(asked);
  if (ModelUse open = models.find(*name)) co_return open;
  co_return co_await asio::co_spawn(context, open_model(*this, *name), use_awaitable);
}

asio::awaitable<void> list_models(Service& service, HttpExchange& exchange) {
  Json data = Json::array();
  for (const ModelStatus& status : service.models.list()) data.push_back(model_json(service, status));
  const Json body = {{"object", "list"}, {"data", std::move(data)}};
  co_await exchange.respond(json_response(200, body));
}

asio::awaitable<void> one_model(Service& service, HttpExchange& exchange) {
  const std::string& path = exchange.request().path;
  const std::string name = path.substr(path.find("models/") + 7);
  for (const ModelStatus& status : service.models.list()) {
    if (status.name != name) continue;
    co_await exchange.respond(json_response(200, model_json(service, status)));
    co_return;
  }
  throw no_such_model(name);
}

asio::awaitable<void> load_model(Service& service, HttpExchange& exchange) {
  const std::string name = managed_model(service, exchange);
  const ModelUse model = co_await service.model(name);
  const Json body = {{"success", true}, {"model", name}};
  co_await exchange.respond(json_response(200, body));
}

asio::awaitable<void> unload_model(Service& service, HttpExchange& exchange) {
  const std::string name = managed_model(service, exchange);
  service.models.close(name);
  const Json body = {{"success", true}, {"model", name}};
  co_await exchange.respond(json_response(200, body));
}

}  // namespace bitnet::server
