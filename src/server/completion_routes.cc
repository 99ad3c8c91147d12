// POST /v1/chat/completions and /v1/completions.
#include "server/answer_stream.h"
#include "server/openai_writer.h"

namespace bitnet::server {

boost::asio::awaitable<void> chat_completions(Service& service, HttpExchange& exchange) {
  return answer(service, exchange, read_chat_request, openai_writer);
}

boost::asio::awaitable<void> text_completions(Service& service, HttpExchange& exchange) {
  return answer(service, exchange, read_text_request, openai_writer);
}

}  // namespace bitnet::server
