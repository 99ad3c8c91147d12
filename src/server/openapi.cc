// GET /openapi.json: the description of all endpoints, as it stands in openapi.json.
#include <span>
#include <string_view>
#include <utility>

#include "server/routes.h"

namespace bitnet::server {

std::span<const std::pair<std::string_view, std::string_view>> openapi_files();  // by cmake/EmbedFiles.cmake

boost::asio::awaitable<void> openapi(Service&, HttpExchange& exchange) {
  HttpResponse response{200, "application/json", std::string(openapi_files().front().second)};
  co_await exchange.respond(std::move(response));
}

}  // namespace bitnet::server
