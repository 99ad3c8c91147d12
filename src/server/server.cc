// The server's threads, what stands before every handler, and how it ends.
#include "server/server.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <random>

#include "common/log.h"
#include "server/access.h"
#include "server/access_log.h"
#include "server/page.h"
#include "server/routes.h"
#include "server/service_manager.h"

namespace bitnet::server {
namespace {

namespace asio = boost::asio;
using asio::use_awaitable;

std::string random_name() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

// The route of a path: the entry itself, or the longest that ends in "/" and begins it. `other_method`: the path is there, but
// not for this method.
const Route* find_route(const HttpRequest& request, bool& other_method) {
  const Route* found = nullptr;
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  for (const Route& route : routes()) {
    const std::string_view path = route.path;
    const bool matches =
        path.ends_with('/') ? request.path.starts_with(path) && request.path.size() > path.size() : request.path == path;
    if (!matches) continue;
    if (route.method == method) {
      found = &route;
    } else {
      other_method = true;
    }
  }
  return found;
}

// An id that others may have given the request, if it is short and plain.
bool is_request_id(const std::string& text) {
  return !text.empty() && text.size() <= 128 &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:") == std::string::npos;
}

// What a preflight is told of headers: those that it names, for clients send many of their own (x-stainless-os, anthropic-beta,
// traceparent), or where it names none, too many, or what are no names, the usual ones.
std::string allowed_headers(const std::string* asked) {
  static constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
  static constexpr std::size_t most_bytes = 2048, most_name = 64;
  const std::string usual = "Authorization, Content-Type, X-Api-Key, X-Request-Id";
  if (asked == nullptr || asked->size() > most_bytes) return usual;
  std::string out;
  for (std::size_t at = 0; at <= asked->size();) {
    const std::size_t end = std::min(asked->find(',', at), asked->size());
    std::string_view name = std::string_view(*asked).substr(at, end - at);
    name.remove_prefix(std::min(name.find_first_not_of(" \t"), name.size()));
    name = name.substr(0, name.find_last_not_of(" \t") + 1);
    if (name.empty() || name.size() > most_name || name.find_first_not_of(letters) != std::string_view::npos) return usual;
    out += (out.empty() ? "" : ", ") + std::string(name);
    at = end + 1;
  }
  return out;
}

}  // namespace

struct Server::Parts {
  Parts(ModelSet& m, ServerOptions o)
      : options(std::move(o)),
        models(m),
        access(options.api_keys, options.cors_origins, options.allowed_hosts),
        service{m, options, metrics, context, reading, random_name()},
        http(
            context, options.limits, [this](HttpRequest& request) { return gate(request); },
            [this](HttpExchange& exchange) { return handle(exchange); },
            [this](HttpRequest& request, int status, const std::string& message) {
              name_request(request);
              ApiError error(status, status == 503 ? "unavailable_error" : "invalid_request_error", message);
              if (status == 503) error.retry_after = 1;  // too many connections
              return error_response(error);
            },
            [this](const HttpRequest& request, const HttpRecord& record) { observe(request, record); }) {}

  void name_request(HttpRequest& request);
  std::optional<HttpResponse> gate(HttpRequest& request);
  std::optional<HttpResponse> cross_site(HttpRequest& request);
  asio::awaitable<void> handle(HttpExchange& exchange);
  void observe(const HttpRequest& request, const HttpRecord& record);
  asio::awaitable<void> drain();
  asio::awaitable<void> wait_for_signals();
  void stop();
  void reload();

  ServerOptions options;
  ModelSet& models;
  Metrics metrics;
  Access access;
  asio::thread_pool reading{1};
  asio::io_context context{1};
  Service service;
  HttpServer http;
  bool finished_all = true, impatient = false, at_terminal = ::isatty(STDERR_FILENO) == 1;
  std::uint64_t requests = 0;
};

// Pages of other sites: a preflight is answered here, other requests get the header that lets the page read the answer.
std::optional<HttpResponse> Server::Parts::cross_site(HttpRequest& request) {
  const std::string* origin = request.header("origin");
  const bool preflight = request.method == "OPTIONS" && request.header("access-control-request-method") != nullptr;
  if (origin == nullptr && !preflight) return std::nullopt;
  if (origin != nullptr && access.origin_allowed(*origin)) {
    request.answer_with.emplace_back("Access-Control-Allow-Origin", *origin);
    request.answer_with.emplace_back("Access-Control-Expose-Headers", "X-Request-Id, Retry-After, retry-after-ms");
    request.answer_with.emplace_back("Vary", preflight ? "Origin, Access-Control-Request-Headers" : "Origin");
  } else if (preflight) {
    return error_response({403, "permission_error", "pages of this origin may not ask here; --cors-origin allows one"});
  }
  if (!preflight) return std::nullopt;
  return HttpResponse{204,
                      "",
                      "",
                      {{"Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS"},
                       {"Access-Control-Allow-Headers", allowed_headers(request.header("access-control-request-headers"))},
                       {"Access-Control-Max-Age", "600"}}};
}

// Headers of every answer.
void Server::Parts::name_request(HttpRequest& request) {
  const std::string* given = request.header("x-request-id");
  request.answer_with.emplace_back(
      "X-Request-Id", given != nullptr && is_request_id(*given) ? *given : fmt::format("{}-{}", service.instance, ++requests));
  request.answer_with.emplace_back("X-Content-Type-Options", "nosniff");
}

std::optional<HttpResponse> Server::Parts::gate(HttpRequest& request) {
  name_request(request);
  const auto refuse = [&](const ApiError& error) { return error_response(error, request.path); };
  if (!access.host_allowed(request))
    return refuse({403, "permission_error", "the Host header names another host; --allowed-host allows one"});
  if (auto answer = cross_site(request)) return answer;
  if (auto file = page_answer(request)) {
    request.route = "page";
    return file;
  }
  bool other_method = false;
  const Route* route = find_route(request, other_method);
  if (route == nullptr && other_method)
    return refuse(
        {405, "invalid_request_error", fmt::format("{} does not take {}", printable(request.path), printable(request.method))});
  if (route == nullptr)
    return refuse({404, "not_found_error", fmt::format("there is nothing at {}", printable(request.path)), "not_found"});
  request.route = route->path;
  if (!route->is_public && !access.has_key(request)) {
    HttpResponse answer = refuse({401, "authentication_error", "the API key is missing or wrong", "invalid_api_key"});
    answer.headers.emplace_back("WWW-Authenticate", "Bearer");
    return answer;
  }
  if (service.draining && !route->is_public)
    return refuse({503, "unavailable_error", "the server is shutting down", "draining"});
  if (request.method == "POST") {
    const std::string* type = request.header("content-type");
    // Clients of Ollama often leave it out. Pages of other sites may send such requests unasked, but never without an Origin.
    const bool lenient = request.path.starts_with("/api/") && request.header("origin") == nullptr;
    if (!lenient && (type == nullptr || !type->starts_with("application/json")))
      return refuse({415, "invalid_request_error", "the Content-Type must be application/json"});
  }
  return std::nullopt;
}

asio::awaitable<void> Server::Parts::handle(HttpExchange& exchange) {
  bool other_method = false;
  const Route* route = find_route(exchange.request(), other_method);
  std::optional<ApiError> failed;
  service.connections = http.connections();
  try {
    co_await route->handler(service, exchange);
  } catch (const ApiError& error) {
    failed = error;
  } catch (const Error& error) {
    failed = api_error(error);
  } catch (const boost::system::system_error&) {
    exchange.record().status = 499;  // the client left; known from nginx's logs
    throw;
  } catch (const std::bad_alloc&) {
    failed = ApiError(503, "unavailable_error", "there is not enough memory for this request");
  } catch (const std::exception& error) {
    failed = ApiError(500, "server_error", "internal error: " + printable(error.what(), 256));
  }
  if (!failed) co_return;
  exchange.record().status = failed->status;
  if (failed->status >= 500) log(LogLevel::warning, "{}: {}", route->path, failed->message);
  // A stream that broke off can only end.
  if (exchange.began()) throw boost::system::system_error(asio::error::connection_aborted);
  co_await exchange.respond(error_response(*failed, exchange.request().path));
}

void Server::Parts::observe(const HttpRequest& request, const HttpRecord& record) {
  metrics.count_request(request.route.empty() ? "refused" : request.route, record.status);
  if (record.generated_tokens > 0)
    metrics.add_generation(std::chrono::duration<double>(std::chrono::steady_clock::now() - request.arrived).count());
  if (options.log) log_exchange(*options.log, request, record);
}

void Server::Parts::stop() {
  if (service.draining) {
    impatient = true;
    models.stop(false);
    return;
  }
  service.draining = true;
  tell_service_manager("STOPPING=1");
  http.close();
  models.stop(true);
  asio::co_spawn(context, drain(), asio::detached);
}

asio::awaitable<void> Server::Parts::drain() {
  asio::steady_timer timer(context);
  const auto end = std::chrono::steady_clock::now() + options.drain_time;
  const auto still = [&] { return !models.stopped() || http.busy() > 0; };
  while (still() && !impatient && std::chrono::steady_clock::now() < end) {
    timer.expires_after(std::chrono::milliseconds(10));
    co_await timer.async_wait(use_awaitable);
  }
  finished_all = !still();
  if (!finished_all) {
    models.stop(false);
    for (int i = 0; i < 100 && still(); ++i) {  // for streams to be told that they end here
      timer.expires_after(std::chrono::milliseconds(10));
      co_await timer.async_wait(use_awaitable);
    }
  }
  context.stop();
}

asio::awaitable<void> Server::Parts::wait_for_signals() {
  asio::signal_set signals(context, SIGINT, SIGTERM, SIGHUP);
  while (true) {
    const int signal = co_await signals.async_wait(use_awaitable);
    // The terminal that it was started from has gone, and nobody else would end it.
    const bool orphaned = signal == SIGHUP && at_terminal && ::isatty(STDERR_FILENO) != 1;
    if (signal != SIGHUP || orphaned) {
      stop();
    } else if (!service.draining) {
      tell_service_manager_of_reload();
      reload();
      tell_service_manager("READY=1");
    }
  }
}

// All of it or nothing.
void Server::Parts::reload() {
  try {
    const auto tls = options.tls.given() ? open_tls(options.tls) : nullptr;
    if (options.reload) {
      const ReloadedOptions fresh = options.reload();
      access.set_keys(fresh.api_keys);
      log(LogLevel::info, "read keys, certificate and log level anew");
      if (options.log) options.log->set_level(fresh.log_level);
    }
    if (tls != nullptr) http.use_tls(tls);
  } catch (const Error& error) {
    log(LogLevel::error, "everything stays as it was: {}", error.what());
  }
}

Server::Server(ModelSet& models, ServerOptions options) : parts_(std::make_unique<Parts>(models, std::move(options))) {}
Server::~Server() = default;

std::string Server::listen() {
  Parts& parts = *parts_;
  if (parts.options.tls.given()) parts.http.use_tls(open_tls(parts.options.tls));
  std::string addresses = parts.http.listen(parts.options.address);
  parts.access.set_loopback(parts.http.only_loopback());
  return addresses;
}

bool Server::run() {
  Parts& parts = *parts_;
  asio::co_spawn(parts.context, parts.wait_for_signals(), asio::detached);
  asio::post(parts.context, [] { tell_service_manager("READY=1"); });
  parts.context.run();
  parts.models.stop(false);
  parts.reading.join();
  return parts.finished_all;
}

void Server::stop() {
  asio::post(parts_->context, [this] { parts_->stop(); });
}

}  // namespace bitnet::server
