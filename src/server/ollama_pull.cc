// POST /api/pull and DELETE /api/delete: the cache of models, where the operator allows it.
#include "server/ollama_pull.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "common/log.h"
#include "models/hub/removal.h"
#include "models/hub/settings.h"
#include "server/json_fields.h"
#include "server/ollama.h"
#include "server/routes.h"

namespace bitnet::server {
namespace {

namespace asio = boost::asio;
using asio::use_awaitable;

std::string line(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; }

// The hub's failures are no faults of this server.
ApiError hub_error(const Error& error) {
  if (error.kind() == ErrorKind::runtime) return {403, "permission_error", error.what()};
  if (error.kind() == ErrorKind::io || error.kind() == ErrorKind::cancelled) return {503, "unavailable_error", error.what()};
  return api_error(error);
}

// The published model that a body names. A name, never a path or a URL.
hub::ModelName asked_name(Service& service, const Json& body) {
  if (!service.options.allow_pull)
    throw ApiError(403, "permission_error", "models cannot be downloaded or deleted here; bitnet serve --allow-pull allows it");
  const std::string name = ollama_model(body);
  if (name.empty()) bad_field("model", "is missing");
  const auto parsed = hub::parse_model_name(name);
  if (!parsed) bad_field("model", "is '{}', which is not OWNER/NAME[:FILE][@REVISION] or a short name", printable(name));
  return *parsed;
}

Json progress_json(const hub::PullProgress& progress) {
  if (progress.file.empty()) return {{"status", "pulling manifest"}};
  return {{"status", "pulling " + progress.file},
          {"digest", progress.file},
          {"total", progress.total},
          {"completed", progress.done}};
}

asio::awaitable<void> stream_pull(Service& service, HttpExchange& exchange, ModelPull& pull, Bell& bell) {
  HttpResponse head{200, "application/x-ndjson"};
  head.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
  co_await exchange.begin(std::move(head));
  while (!pull.done()) {
    co_await exchange.write(line(progress_json(pull.progress())));
    co_await bell.wait(service.options.heartbeat);
  }
  const auto error = pull.error();
  const Json last = error ? ollama_error(*error) : Json{{"status", "success"}};
  co_await exchange.write(line(last));
  co_await exchange.end();
}

}  // namespace

ModelPull::ModelPull(hub::ModelName name, std::shared_ptr<Bell> bell)
    : bell_(std::move(bell)), thread_([this, name = std::move(name)] { run(name); }) {}

ModelPull::~ModelPull() {
  cancelled_ = true;
  thread_.join();
}

void ModelPull::run(const hub::ModelName& name) {
  std::optional<ApiError> error;
  try {
    hub::PullOptions options;
    options.cancel = &cancelled_;
    options.on_note = [](const std::string& note) { log(LogLevel::info, "{}", note); };
    options.on_progress = [this](const hub::PullProgress& progress) {
      {
        const std::lock_guard lock(mutex_);
        // A line for each hundredth is enough.
        const bool news = progress.file != progress_.file || progress.done >= progress_.done + progress.total / 100;
        if (!news && progress.done < progress.total) return;
        progress_ = progress;
      }
      bell_->ring();
    };
    hub::pull_model(name, hub::settings_from_environment(), options);
  } catch (const Error& failure) {
    error = hub_error(failure);
  } catch (const std::exception& failure) {
    error = ApiError(503, "unavailable_error", printable(failure.what(), 256));
  }
  {
    const std::lock_guard lock(mutex_);
    error_ = std::move(error);
  }
  done_ = true;
  bell_->ring();
}

hub::PullProgress ModelPull::progress() const {
  const std::lock_guard lock(mutex_);
  return progress_;
}

std::optional<ApiError> ModelPull::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

asio::awaitable<void> ollama_pull(Service& service, HttpExchange& exchange) {
  const Json body = parse_json(exchange.request().body);
  hub::ModelName name = asked_name(service, body);
  const bool stream = Fields(body).boolean("stream").value_or(true);
  if (service.pull != nullptr && !service.pull->done()) {
    ApiError busy(429, "rate_limit_error", "another model is being downloaded");
    busy.retry_after = 10;
    throw busy;
  }
  const auto bell = std::make_shared<Bell>(service.context);
  const auto pull = std::make_shared<ModelPull>(std::move(name), bell);
  service.pull = pull;
  const std::shared_ptr<void> ending(nullptr, [pull](void*) { pull->cancel(); });
  exchange.watch([pull, bell] { pull->cancel(), bell->ring(); });
  if (stream) {
    co_await stream_pull(service, exchange, *pull, *bell);
    co_return;
  }
  while (!pull->done()) co_await bell->wait(service.options.heartbeat);
  if (const auto error = pull->error()) throw ApiError(*error);
  const Json done = {{"status", "success"}};
  co_await exchange.respond(json_response(200, done));
}

asio::awaitable<void> ollama_delete(Service& service, HttpExchange& exchange) {
  const hub::ModelName name = asked_name(service, parse_json(exchange.request().body));
  const auto work = [name]() -> asio::awaitable<void> {
    try {
      const hub::Removal removal = hub::plan_removal(hub::cache_folder_from_environment(), name);
      if (removal.paths.empty()) fail(ErrorKind::not_found, "the model '{}' is not in the cache", printable(name.text()));
      hub::carry_out(removal);
    } catch (const Error& error) {
      throw hub_error(error);
    }
    co_return;
  };
  co_await asio::co_spawn(service.reading, work, use_awaitable);
  co_await exchange.respond(json_response(200, Json::object()));
}

}  // namespace bitnet::server
