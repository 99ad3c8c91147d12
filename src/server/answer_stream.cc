// The loop between a job's events and a client, and what becomes of whole answers.
#include "server/answer_stream.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <utility>

#include "common/stopwatch.h"
#include "server/bell.h"

namespace bitnet::server {
namespace {

namespace asio = boost::asio;
using asio::use_awaitable;

class AnswerStream {
 public:
  AnswerStream(Service& service, HttpExchange& exchange, CompletionJob& job, AnswerWriter& writer)
      : service_(service),
        exchange_(exchange),
        job_(job),
        writer_(writer),
        readers_(job.request().prompts.size() * static_cast<std::size_t>(job.request().n),
                 ToolCallReader(job.request().calls)) {}

  asio::awaitable<void> run(Bell& bell) {
    HttpResponse head{200, writer_.content_type()};  // a statement of its own: GCC 12 cannot make it inside co_await
    head.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
    co_await exchange_.begin(std::move(head));
    co_await exchange_.write(writer_.begin());
    while (!job_.done()) {
      std::string out;
      bool took = false;
      for (; auto next = job_.take(); took = true) out += take(*next);
      // Nothing rings again for what was taken, though a writer may have had nothing to say of it.
      if (took) {
        co_await exchange_.write(std::move(out));
      } else if (!co_await bell.wait(service_.options.heartbeat)) {
        co_await exchange_.write(writer_.heartbeat());
      }
    }
    co_await exchange_.write(close());
    co_await exchange_.end();
  }

 private:
  std::string take(const CompletionEvent& event) {
    ToolCallReader& reader = readers_[static_cast<std::size_t>(event.index)];
    if (event.ended) {
      std::string out = write(event.index, reader.finish(), {});
      out += writer_.ended(event.index);
      return out;
    }
    if (first_) {
      exchange_.record().first_token_seconds = since_start_.seconds();
      service_.metrics.add_first_token(since_start_.seconds());
    } else {
      service_.metrics.add_between_tokens(since_piece_.seconds());
    }
    first_ = false, since_piece_ = Stopwatch();
    std::vector<AnswerPart> parts = reader.put(event.text);
    if (parts.empty() && !event.scores.empty()) parts.emplace_back();
    return write(event.index, parts, event.scores);
  }

  std::string write(std::int64_t index, const std::vector<AnswerPart>& parts, const std::vector<TokenScore>& scores) {
    std::string out;
    for (std::size_t i = 0; i < parts.size(); ++i)
      out += writer_.part(index, parts[i], i == 0 ? scores : std::vector<TokenScore>());
    return out;
  }

  std::string close() {
    try {
      job_.answers();
    } catch (const ApiError& error) {
      return writer_.end(&error);
    }
    return writer_.end(nullptr);
  }

  Service& service_;
  HttpExchange& exchange_;
  CompletionJob& job_;
  AnswerWriter& writer_;
  std::vector<ToolCallReader> readers_;  // of each answer
  Stopwatch since_start_, since_piece_;
  bool first_ = true;
};

// For the log and the metrics, when an answer is over.
void record(const CompletionJob& job, Metrics& metrics, HttpRecord& record) {
  const Usage usage = job.usage();
  record.model = job.model().name();
  record.prompt_tokens = usage.prompt_tokens, record.cached_tokens = usage.cached_tokens;
  record.generated_tokens = usage.completion_tokens;
  for (const FinishReason reason : job.finishes()) metrics.count_finish(record.model, reason);
  for (const Timings& timings : job.timings()) {
    if (timings.first_token_seconds <= 0) continue;
    metrics.add_queue_wait(std::max(0.0, timings.first_token_seconds - timings.prompt_seconds));
    if (record.first_token_seconds <= 0) record.first_token_seconds = timings.first_token_seconds;
  }
}

AnswerContext context_of(Service& service, const CompletionJob& job) {
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
  return {job, fmt::format("{}{:08x}", service.instance, ++service.answers), now.count()};
}

}  // namespace

std::string asked_model(const Json& body) { return Fields(body).text("model").value_or(""); }

asio::awaitable<ModelRequest> read_request(Service& service, const HttpExchange& exchange, ReadRequest read, AskedModel asked,
                                           bool queues) {
  const std::string& body = exchange.request().body;
  const auto work = [&service, &body, read, asked, queues]() -> asio::awaitable<ModelRequest> {
    const Json json = parse_json(body);
    ModelUse model = co_await service.model(asked(json));
    if (queues) require_room(model->scheduler());
    CompletionRequest request = read(json, model->engine());
    co_return ModelRequest{std::move(model), std::move(request)};
  };
  co_return co_await asio::co_spawn(service.reading, work, use_awaitable);
}

asio::awaitable<void> answer(Service& service, HttpExchange& exchange, ReadRequest read, MakeWriter make, AskedModel asked) {
  ModelRequest asks = co_await read_request(service, exchange, read, asked, true);
  const auto bell = std::make_shared<Bell>(service.context);
  const bool stream = asks.request.stream;
  const auto job = CompletionJob::make(std::move(asks.request), [bell] { bell->ring(); });
  job->start(std::move(asks.model), SchedulerClock::now() + service.options.request_time);
  const std::unique_ptr<AnswerWriter> writer = make(context_of(service, *job));
  // However this ends, what still runs for it ends, too.
  const std::shared_ptr<void> ending(nullptr, [job, &service, &exchange](void*) {
    job->cancel();
    record(*job, service.metrics, exchange.record());
  });
  const auto gone = std::make_shared<bool>(false);
  exchange.watch([job, bell, gone] { *gone = true, job->cancel(), bell->ring(); });
  if (stream) {
    co_await AnswerStream(service, exchange, *job, *writer).run(*bell);
    co_return;
  }
  while (!job->done() && !*gone) {
    while (job->take()) {
    }
    if (!job->done()) co_await bell->wait(service.options.heartbeat);
  }
  if (*gone) {
    // Its side is closed; should it still listen, it is told why there is no answer.
    co_await exchange.respond(
        error_response({400, "invalid_request_error", "the connection was closed before the answer"}, exchange.request().path));
    throw boost::system::system_error(asio::error::connection_reset);
  }
  co_await exchange.respond(json_response(200, writer->whole()));
}

}  // namespace bitnet::server
