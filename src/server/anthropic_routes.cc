// POST /v1/messages and /v1/messages/count_tokens.
#include "server/answer_stream.h"
#include "server/anthropic.h"

namespace bitnet::server {

boost::asio::awaitable<void> anthropic_messages(Service& service, HttpExchange& exchange) {
  return answer(service, exchange, read_anthropic_request, anthropic_writer);
}

boost::asio::awaitable<void> anthropic_count_tokens(Service& service, HttpExchange& exchange) {
  const ModelRequest asks = co_await read_request(service, exchange, read_anthropic_count);
  const Json body = {{"input_tokens", asks.request.prompts.front().size()}};
  co_await exchange.respond(json_response(200, body));
}

}  // namespace bitnet::server
