// POST /completion and /completions, GET /slots.
#include "server/answer_stream.h"
#include "server/llama_cpp.h"

namespace bitnet::server {

boost::asio::awaitable<void> llama_completion(Service& service, HttpExchange& exchange) {
  return answer(service, exchange, read_llama_request, llama_writer);
}

boost::asio::awaitable<void> either_completions(Service& service, HttpExchange& exchange) {
  return answer(service, exchange, read_either_request, either_writer);
}

// A slot is a place in the batch; who is in which is not known, only how many are taken.
boost::asio::awaitable<void> slots(Service& service, HttpExchange& exchange) {
  Json all = Json::array();
  bool is_free = false;
  for (const ModelStatus& status : service.models.list()) {
    const ModelUse model = service.models.find(status.name);
    if (model == nullptr) continue;
    const SchedulerStatus now = model->scheduler().status();
    const std::int64_t places = model->scheduler().options().most_running;
    is_free = is_free || now.running < places;
    for (std::int64_t i = 0; i < places; ++i) {
      all.push_back({{"id", all.size()},
                     {"model", status.name},
                     {"n_ctx", model->engine().n_ctx()},
                     {"speculative", false},
                     {"state", i < now.running ? 1 : 0},
                     {"is_processing", i < now.running}});
    }
  }
  if (!is_free && exchange.request().target.find("fail_on_no_slot=1") != std::string::npos)
    throw ApiError(503, "unavailable_error", "all slots are taken");
  co_await exchange.respond(json_response(200, all));
}

}  // namespace bitnet::server
