// The table of endpoints.
#include "server/routes.h"

#include <array>
#include <cmath>

namespace bitnet::server {
namespace {

constexpr std::array<Route, 25> table = {{
    {"POST", "/v1/chat/completions", chat_completions, false},
    {"POST", "/chat/completions", chat_completions, false},
    {"POST", "/v1/completions", text_completions, false},
    {"POST", "/completions", text_completions, false},
    {"POST", "/v1/embeddings", embeddings, false},
    {"POST", "/embeddings", embeddings, false},
    {"GET", "/v1/models", list_models, false},
    {"GET", "/models", list_models, false},
    {"GET", "/v1/models/", one_model, false},
    {"GET", "/models/", one_model, false},
    {"POST", "/models/load", load_model, false},
    {"POST", "/models/unload", unload_model, false},
    {"POST", "/tokenize", tokenize, false},
    {"POST", "/v1/tokenize", tokenize, false},
    {"POST", "/detokenize", detokenize, false},
    {"POST", "/v1/detokenize", detokenize, false},
    {"GET", "/tokenizer_info", tokenizer_info, false},
    {"GET", "/v1/tokenizer_info", tokenizer_info, false},
    {"POST", "/apply-template", apply_template, false},
    {"GET", "/props", props, false},
    {"GET", "/metrics", metrics, false},
    {"GET", "/health", health, true},
    {"GET", "/v1/health", health, true},
    {"GET", "/healthz", health, true},
    {"GET", "/readyz", ready, true},
}};

}  // namespace

std::span<const Route> routes() { return table; }

HttpResponse json_response(int status, const Json& body) {
  return {status, "application/json", body.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

HttpResponse error_response(const ApiError& error) {
  HttpResponse response = json_response(error.status, error_body(error));
  if (error.retry_after) {
    response.headers.emplace_back("Retry-After", std::to_string(static_cast<std::int64_t>(std::ceil(*error.retry_after))));
    response.headers.emplace_back("retry-after-ms", std::to_string(static_cast<std::int64_t>(*error.retry_after * 1000)));
  }
  return response;
}

}  // namespace bitnet::server
