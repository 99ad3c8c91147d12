// The table of endpoints.
#include "server/routes.h"

#include <array>
#include <cmath>

#include "server/anthropic.h"
#include "server/ollama.h"

namespace bitnet::server {
namespace {

constexpr auto table = std::to_array<Route>({
    {"POST", "/v1/chat/completions", chat_completions, false},
    {"POST", "/chat/completions", chat_completions, false},
    {"POST", "/v1/completions", text_completions, false},
    {"POST", "/completions", either_completions, false},
    {"POST", "/completion", llama_completion, false},
    {"GET", "/slots", slots, false},
    {"POST", "/v1/responses", responses, false},
    {"POST", "/v1/responses/input_tokens", response_input_tokens, false},
    {"POST", "/v1/messages", anthropic_messages, false},
    {"POST", "/v1/messages/count_tokens", anthropic_count_tokens, false},
    {"POST", "/api/generate", ollama_generate, false},
    {"POST", "/api/chat", ollama_chat, false},
    {"POST", "/api/embed", ollama_embed, false},
    {"POST", "/api/embeddings", ollama_embeddings, false},
    {"GET", "/api/version", ollama_version, false},
    {"GET", "/api/tags", ollama_tags, false},
    {"GET", "/api/ps", ollama_ps, false},
    {"POST", "/api/show", ollama_show, false},
    {"POST", "/api/pull", ollama_pull, false},
    {"DELETE", "/api/delete", ollama_delete, false},
    {"GET", "/openapi.json", openapi, true},
    {"GET", "/api-doc/openapi.json", openapi, true},
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
    {"GET", "/health", ready, true},
    {"GET", "/v1/health", ready, true},
    {"GET", "/healthz", live, true},
    {"GET", "/readyz", ready, true},
});

}  // namespace

std::span<const Route> routes() { return table; }

namespace {

Json error_json(const ApiError& error, std::string_view path) {
  if (path == "/v1/messages" || path.starts_with("/v1/messages/")) return anthropic_error(error);
  if (path.starts_with("/api/")) return ollama_error(error);
  return error_body(error);
}

}  // namespace

HttpResponse json_response(int status, const Json& body) {
  return {status, "application/json", body.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

HttpResponse error_response(const ApiError& error, std::string_view path) {
  HttpResponse response = json_response(error.status, error_json(error, path));
  if (error.retry_after) {
    response.headers.emplace_back("Retry-After", std::to_string(static_cast<std::int64_t>(std::ceil(*error.retry_after))));
    response.headers.emplace_back("retry-after-ms", std::to_string(static_cast<std::int64_t>(*error.retry_after * 1000)));
  }
  return response;
}

}  // namespace bitnet::server
