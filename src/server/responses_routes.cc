// POST /v1/responses and /v1/responses/input_tokens.
#include "server/responses.h"

#include "server/answer_stream.h"

namespace bitnet::server {

boost::asio::awaitable<void> responses(Service& service, HttpExchange& exchange) {
  return answer(service, exchange, read_responses_request, responses_writer);
}

boost::asio::awaitable<void> response_input_tokens(Service& service, HttpExchange& exchange) {
  const ModelRequest asks = co_await read_request(service, exchange, read_responses_request);
  const Json body = {{"object", "response.input_tokens"}, {"input_tokens", asks.request.prompts.front().size()}};
  co_await exchange.respond(json_response(200, body));
}

}  // namespace bitnet::server
