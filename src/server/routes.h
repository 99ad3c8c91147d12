// The endpoints: which path and method leads where, and what all of them may use.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <span>
#include <string>
#include <string_view>

#include "inference/model_set.h"
#include "server/api_error.h"
#include "server/http_server.h"
#include "server/metrics.h"
#include "server/ollama_pull.h"
#include "server/server.h"

namespace bitnet::server {

struct Service {
  // The model that a request's `model` field names (empty: the field is missing), opened if need be; it stays open while the
  // answer is held. Throws ApiError: 404 model_not_found; 503 where it finds no room or the server stops; 500. May be called in
  // coroutines of any executor.
  boost::asio::awaitable<ModelUse> model(std::string asked);

  ModelSet& models;
  const ServerOptions& options;
  Metrics& metrics;
  boost::asio::io_context& context;
  boost::asio::thread_pool& reading;  // where bodies are parsed and prompts encoded
  std::string instance;               // of this process, in ids of answers
  std::uint64_t answers = 0;          // so far
  bool draining = false;
  std::int64_t connections = 0;
  std::shared_ptr<ModelPull> pull = nullptr;  // the last that was asked for
};

using Handler = boost::asio::awaitable<void> (*)(Service& service, HttpExchange& exchange);

struct Route {
  const char* method;
  const char* path;  // one that ends in "/" takes everything behind it
  Handler handler;
  bool is_public;  // no key is asked for
};

std::span<const Route> routes();

// The handlers, by file.
boost::asio::awaitable<void> chat_completions(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> text_completions(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> responses(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> response_input_tokens(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> anthropic_messages(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> anthropic_count_tokens(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> ollama_generate(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> ollama_chat(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> ollama_embed(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> ollama_embeddings(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> ollama_version(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> ollama_tags(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> ollama_ps(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> ollama_show(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> ollama_pull(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> ollama_delete(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> llama_completion(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> either_completions(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> slots(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> openapi(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> embeddings(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> list_models(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> one_model(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> load_model(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> unload_model(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> tokenize(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> detokenize(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> tokenizer_info(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> apply_template(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> live(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> ready(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> metrics(Service& service, HttpExchange& exchange);
boost::asio::awaitable<void> props(Service& service, HttpExchange& exchange);

ApiError no_such_model(const std::string& name);  // 404

// A JSON body; text that is not UTF-8 cannot come out of it, whatever went in.
HttpResponse json_response(int status, const Json& body);
// In the words of the protocol that the path belongs to: Anthropic's and Ollama's errors look unlike OpenAI's.
HttpResponse error_response(const ApiError& error, std::string_view path = {});

}  // namespace bitnet::server
