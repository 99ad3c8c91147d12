// POST /v1/embeddings: texts or token ids to vectors.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/detail/base64.hpp>
#include <cmath>
#include <optional>

#include "server/bell.h"
#include "server/json_fields.h"
#include "server/routes.h"

namespace bitnet::server {
namespace {

namespace asio = boost::asio;
using asio::use_awaitable;

constexpr std::size_t most_texts = 2048;  // OpenAI's bound

struct EmbeddingRequest {
  ModelUse model;
  std::vector<std::vector<TokenId>> texts;
  std::int64_t dimensions = 0;  // 0 = all
  bool base64 = false;
};

std::vector<TokenId> ids_of(const Json& entry, const Engine& engine) {
  if (entry.is_string()) {
    if (engine.tokenizer() == nullptr) throw ApiError(501, "not_supported_error", "the model has no tokenizer");
    return engine.tokenizer()->encode(entry.get_ref<const std::string&>());
  }
  if (!entry.is_array()) bad_field("input", "is not text, token ids, or a list of either");
  std::vector<TokenId> ids;
  for (const Json& id : entry) {
    const std::int64_t n_vocab = engine.config().n_vocab;
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() >= n_vocab)
      bad_field("input", "has an entry that is not a token, allowed are 0 to {}", n_vocab - 1);
    ids.push_back(static_cast<TokenId>(id.get<std::int64_t>()));
  }
  return ids;
}

EmbeddingRequest read_request(const Json& body, ModelUse model) {
  const Fields fields(body);
  EmbeddingRequest request;
  request.model = std::move(model);
  const Engine& engine = request.model->engine();
  const auto format = fields.text("encoding_format").value_or("float");
  if (format != "float" && format != "base64")
    bad_field("encoding_format", "is '{}', allowed are float and base64", printable(format));
  request.base64 = format == "base64";
  request.dimensions = fields.integer("dimensions", 1, engine.config().n_embd).value_or(0);
  const Json* input = fields.find("input");
  if (input == nullptr) bad_field("input", "is missing");
  const bool is_list = input->is_array() && (input->empty() || !input->front().is_number());
  const Json list = is_list ? *input : Json::array({*input});
  if (list.empty()) bad_field("input", "is empty");
  if (list.size() > most_texts) bad_field("input", "has {} entries, at most {} are allowed", list.size(), most_texts);
  for (const Json& entry : list) {
    request.texts.push_back(ids_of(entry, engine));
    const std::size_t size = request.texts.back().size();
    if (size == 0) bad_field("input", "has an entry without tokens");
    if (static_cast<std::int64_t>(size) > engine.n_ctx()) {
      throw ApiError(400, "invalid_request_error",
                     fmt::format("input has an entry of {} tokens, the context holds {}", size, engine.n_ctx()),
                     "context_length_exceeded", "input");
    }
  }
  return request;
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

Json vector_json(const std::vector<float>& vector, bool base64) {
  if (!base64) return vector;
  namespace codec = boost::beast::detail::base64;
  std::string text(codec::encoded_size(vector.size() * sizeof(float)), '\0');
  text.resize(codec::encode(text.data(), vector.data(), vector.size() * sizeof(float)));
  return text;
}

// What the stepping thread and the handler share; it outlives either.
struct Work {
  EmbeddingRequest request;
  std::vector<std::vector<float>> vectors;
  std::optional<ApiError> error;
  std::atomic<bool> done{false};
};

// A few texts at a time, so that streams go on in between.
void compute(Engine& engine, Work& work) {
  constexpr std::size_t at_once = 8;
  const std::size_t first = work.vectors.size(), count = std::min(at_once, work.request.texts.size() - first);
  try {
    work.vectors.resize(first + count);
    engine.embed(std::span(work.request.texts).subspan(first, count), {}, [&](std::size_t i, std::span<const float> vector) {
      work.vectors[first + i].assign(vector.begin(), vector.end());
    });
  } catch (const Error& error) {
    work.error = api_error(error);
  } catch (const std::exception& error) {
    work.error = ApiError(500, "server_error", error.what());
  }
}

}  // namespace

asio::awaitable<void> embeddings(Service& service, HttpExchange& exchange) {
  const std::string& body = exchange.request().body;
  const auto read = [&service, &body]() -> asio::awaitable<EmbeddingRequest> {
    const Json json = parse_json(body);
    co_return read_request(json, co_await service.model(Fields(json).text("model").value_or("")));
  };
  const auto work = std::make_shared<Work>();
  work->request = co_await asio::co_spawn(service.reading, read, use_awaitable);
  const auto bell = std::make_shared<Bell>(service.context);
  ServedModel& model = *work->request.model;
  while (!work->error && work->vectors.size() < work->request.texts.size()) {
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
  Json data = Json::array();
  std::size_t tokens = 0;
  for (std::size_t i = 0; i < work->vectors.size(); ++i) {
    shorten(work->vectors[i], work->request.dimensions);
    data.push_back({{"object", "embedding"}, {"index", i}, {"embedding", vector_json(work->vectors[i], work->request.base64)}});
    tokens += work->request.texts[i].size();
  }
  const Json out = {{"object", "list"},
                    {"data", std::move(data)},
                    {"model", model.name()},
                    {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}};
  co_await exchange.respond(json_response(200, out));
}

}  // namespace bitnet::server
