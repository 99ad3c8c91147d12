// POST /v1/chat/completions and /v1/completions: whole answers and streams of server-sent events.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "common/stopwatch.h"
#include "server/bell.h"
#include "server/completion_job.h"
#include "server/json_fields.h"
#include "server/routes.h"

namespace bitnet::server {
namespace {

namespace asio = boost::asio;
using asio::use_awaitable;

struct ReadRequest {
  ModelUse model;
  CompletionRequest request;
};

// Runs on the reading thread, so that a long prompt holds up nobody's stream.
asio::awaitable<ReadRequest> read_request(Service& service, const HttpExchange& exchange, bool chat) {
  const std::string& body = exchange.request().body;
  const auto read = [&service, &body, chat]() -> asio::awaitable<ReadRequest> {
    const Json json = parse_json(body);
    ModelUse model = co_await service.model(Fields(json).text("model").value_or(""));
    CompletionRequest request = chat ? read_chat_request(json, model->engine()) : read_text_request(json, model->engine());
    co_return ReadRequest{std::move(model), std::move(request)};
  };
  co_return co_await asio::co_spawn(service.reading, read, use_awaitable);
}

ResponseHead head_of(Service& service, const ServedModel& model, const CompletionRequest& request) {
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
  return {fmt::format("{}-{}{:08x}", request.chat ? "chatcmpl" : "cmpl", service.instance, ++service.answers), now.count(),
          model.name(), "bitnet-" BITNET_VERSION, request.chat};
}

std::string event(const Json& data) { return "data: " + data.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n\n"; }

// One stream's chunks, in the order in which its answers' tokens come.
class EventStream {
 public:
  EventStream(Service& service, HttpExchange& exchange, CompletionJob& job, ResponseHead head)
      : service_(service),
        exchange_(exchange),
        job_(job),
        head_(std::move(head)),
        offsets_(job.request().prompts.size() * static_cast<std::size_t>(job.request().n)) {}

  asio::awaitable<void> run(Bell& bell) {
    HttpResponse head{200, "text/event-stream"};  // a statement of its own: GCC 12 cannot make it inside co_await
    head.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
    co_await exchange_.begin(std::move(head));
    co_await open();
    while (!job_.done()) {
      std::string out;
      while (auto next = job_.take()) out += take(*next);
      if (!out.empty()) {
        co_await exchange_.write(std::move(out));
      } else if (!co_await bell.wait(service_.options.heartbeat)) {
        co_await exchange_.write(":\n\n");
      }
    }
    co_await exchange_.write(close());
    co_await exchange_.end();
  }

 private:
  // The chunks before the first piece: roles for chat, the prompt for echo.
  asio::awaitable<void> open() {
    std::string out;
    const CompletionRequest& request = job_.request();
    for (std::size_t i = 0; i < offsets_.size(); ++i) {
      const auto index = static_cast<std::int64_t>(i);
      if (request.chat) out += emit(role_chunk(head_, index));
      if (!request.echo) continue;
      const std::string& prompt = request.prompt_texts[i / static_cast<std::size_t>(request.n)];
      out += emit(text_chunk(head_, index, prompt, {}, 0, job_.model().engine()));
      offsets_[i] = static_cast<std::int64_t>(prompt.size());
    }
    co_await exchange_.write(std::move(out));
  }

  std::string take(const CompletionEvent& next) {
    std::int64_t& offset = offsets_[static_cast<std::size_t>(next.index)];
    if (next.ended) return emit(end_chunk(head_, next.index, job_.reason(next.index)));
    if (first_) {
      service_.metrics.add_first_token(since_start_.seconds());
    } else {
      service_.metrics.add_between_tokens(since_piece_.seconds());
    }
    first_ = false, since_piece_ = Stopwatch();
    const Json chunk = text_chunk(head_, next.index, next.text, next.scores, offset, job_.model().engine());
    offset += static_cast<std::int64_t>(next.text.size());
    return emit(chunk);
  }

  std::string close() {
    std::string out;
    try {
      job_.answers();
    } catch (const ApiError& error) {
      out += event(error_body(error));
    }
    if (job_.request().include_usage) out += event(usage_chunk(head_, job_.usage()));
    return out + "data: [DONE]\n\n";
  }

  std::string emit(Json chunk) const {
    if (job_.request().include_usage) chunk["usage"] = nullptr;
    return event(chunk);
  }

  Service& service_;
  HttpExchange& exchange_;
  CompletionJob& job_;
  ResponseHead head_;
  std::vector<std::int64_t> offsets_;  // of each answer's next piece in its text
  Stopwatch since_start_, since_piece_;
  bool first_ = true;
};

asio::awaitable<void> complete(Service& service, HttpExchange& exchange, bool chat) {
  ReadRequest read = co_await read_request(service, exchange, chat);
  const auto bell = std::make_shared<Bell>(service.context);
  const ResponseHead head = head_of(service, *read.model, read.request);
  const bool stream = read.request.stream;
  const auto job = CompletionJob::make(std::move(read.request), [bell] { bell->ring(); });
  job->start(std::move(read.model), SchedulerClock::now() + service.options.request_time);
  // However this ends, what still runs for it ends, too.
  const std::shared_ptr<void> ending(nullptr, [job](void*) { job->cancel(); });
  const auto gone = std::make_shared<bool>(false);
  exchange.watch([job, bell, gone] { *gone = true, job->cancel(), bell->ring(); });
  if (stream) {
    co_await EventStream(service, exchange, *job, head).run(*bell);
    co_return;
  }
  while (!job->done() && !*gone) {
    while (job->take()) {
    }
    if (!job->done()) co_await bell->wait(service.options.heartbeat);
  }
  if (*gone) throw boost::system::system_error(asio::error::connection_reset);
  co_await exchange.respond(json_response(200, completion_json(head, job->answers(), job->usage(), job->model().engine())));
}

}  // namespace

asio::awaitable<void> chat_completions(Service& service, HttpExchange& exchange) { return complete(service, exchange, true); }
asio::awaitable<void> text_completions(Service& service, HttpExchange& exchange) { return complete(service, exchange, false); }

}  // namespace bitnet::server
