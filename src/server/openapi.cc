// GET /openapi.json: the description of all endpoints, as it stands in openapi.json.
#include "server/routes.h"

namespace bitnet::server {

extern const char* const openapi_text;  // openapi_text.cmake writes it

boost::asio::awaitable<void> openapi(Service&, HttpExchange& exchange) {
  HttpResponse response{200, "application/json", openapi_text};
  co_await exchange.respond(std::move(response));
}

}  // namespace bitnet::server
