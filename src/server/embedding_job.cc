// Texts read, embedded a few at a time, and shortened where that was asked for.
#include "server/embedding_job.h"

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "server/bell.h"

namespace bitnet::server {
namespace {

namespace asio = boost::asio;
using asio::use_awaitable;

constexpr std::size_t most_texts = 2048;  // OpenAI's bound

std::vector<TokenId> ids_of(const Json& entry, const Engine& engine, const std::string& field) {
  if (entry.is_string()) {
    if (engine.tokenizer() == nullptr) throw ApiError(501, "not_supported_error", "the model has no tokenizer");
    return engine.tokenizer()->encode(entry.get_ref<const std::string&>());
  }
  if (!entry.is_array()) bad_field(field, "is not text, token ids, or a list of either");
  std::vector<TokenId> ids;
  for (const Json& id : entry) {
    const std::int64_t n_vocab = engine.config().n_vocab;
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() >= n_vocab)
      bad_field(field, "has an entry that is not a token, allowed are 0 to {}", n_vocab - 1);
    ids.push_back(static_cast<TokenId>(id.get<std::int64_t>()));
  }
  return ids;
}

// The first `dimensions` numbers, again of length 1: what models trained for that (Matryoshka) are asked for.
void shorten(std::vector<float>& vector, std::int64_t dimensions) {
  if (dimensions == 0) return;
  vector.resize(static_cast<std::size_t>(dimensions));
  double squares = 0;
  for (const float x : vector) squares += static_cast<double>(x) * static_cast<double>(x);
  if (squares <= 0) return;
  for (float& x : vector) x = static_cast<float>(static_cast<double>(x) / std::sqrt(squares));
}

// What the stepping thread and the handler share; it outlives either.
struct Work {
  Embeddings out;
  std::optional<ApiError> error;
  std::atomic<bool> done{false};
};

// A few texts at a time, so that streams go on in between.
void compute(Engine& engine, Work& work) {
  constexpr std::size_t at_once = 8;
  const std::size_t first = work.out.vectors.size(), count = std::min(at_once, work.out.request.texts.size() - first);
  try {
    work.out.vectors.resize(first + count);
    engine.embed(std::span(work.out.request.texts).subspan(first, count), {},
                 [&](std::size_t i, std::span<const float> vector) {
                   work.out.vectors[first + i].assign(vector.begin(), vector.end());
                 });
  } catch (const Error& error) {
    work.error = api_error(error);
  } catch (const std::exception& error) {
    work.error = ApiError(500, "server_error", error.what());
  }
}

}  // namespace

std::vector<std::vector<TokenId>> read_texts(const Fields& fields, const char* name, const Engine& engine, bool truncate) {
  const std::string field = fields.name(name);
  const Json* input = fields.find(name);
  if (input == nullptr) bad_field(field, "is missing");
  const bool is_list = input->is_array() && (input->empty() || !input->front().is_number());
  const Json list = is_list ? *input : Json::array({*input});
  if (list.empty()) bad_field(field, "is empty");
  if (list.size() > most_texts) bad_field(field, "has {} entries, at most {} are allowed", list.size(), most_texts);
  std::vector<std::vector<TokenId>> texts;
  for (const Json& entry : list) {
    std::vector<TokenId>& ids = texts.emplace_back(ids_of(entry, engine, field));
    if (ids.empty()) bad_field(field, "has an entry without tokens");
    const auto most = static_cast<std::size_t>(engine.n_ctx());
    if (truncate && ids.size() > most) ids.resize(most);
    if (ids.size() > most) {
      throw ApiError(400, "invalid_request_error",
                     fmt::format("{} has an entry of {} tokens, the context holds {}", field, ids.size(), most),
                     "context_length_exceeded", field);
    }
  }
  return texts;
}

asio::awaitable<Embeddings> embed_texts(Service& service, const HttpExchange& exchange, ReadEmbeddings read, AskedModel asked) {
  const std::string& body = exchange.request().body;
  const auto work = std::make_shared<Work>();
  const auto reading = [&service, &body, read, asked, work]() -> asio::awaitable<void> {
    const Json json = parse_json(body);
    work->out.model = co_await service.model(asked(json));
    work->out.request = read(json, work->out.model->engine());
  };
  co_await asio::co_spawn(service.reading, reading, use_awaitable);
  const auto bell = std::make_shared<Bell>(service.context);
  ServedModel& model = *work->out.model;
  while (!work->error && work->out.vectors.size() < work->out.request.texts.size()) {
    work->done = false;
    const bool taken = model.scheduler().call([work, bell, &engine = model.engine()] {
      compute(engine, *work);
      work->done = true;
      bell->ring();
    });
    if (!taken) throw ApiError(503, "unavailable_error", "the server is shutting down");
    while (!work->done) co_await bell->wait(service.options.heartbeat);
  }
  if (work->error) throw ApiError(*work->error);
  for (std::vector<float>& vector : work->out.vectors) shorten(vector, work->out.request.dimensions);
  for (const auto& text : work->out.request.texts) work->out.tokens += text.size();
  co_return std::move(work->out);
}

}  // namespace bitnet::server
