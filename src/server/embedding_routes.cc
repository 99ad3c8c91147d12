// POST /v1/embeddings: texts or token ids to vectors.
#include <boost/beast/core/detail/base64.hpp>

#include "server/embedding_job.h"

namespace bitnet::server {
namespace {

EmbeddingRequest read_request(const Json& body, const Engine& engine) {
  const Fields fields(body);
  EmbeddingRequest request;
  const auto format = fields.text("encoding_format").value_or("float");
  if (format != "float" && format != "base64")
    bad_field("encoding_format", "is '{}', allowed are float and base64", printable(format));
  request.base64 = format == "base64";
  request.dimensions = fields.integer("dimensions", 1, engine.config().n_embd).value_or(0);
  request.texts = read_texts(fields, "input", engine);
  return request;
}

Json vector_json(const std::vector<float>& vector, bool base64) {
  if (!base64) return vector;
  namespace codec = boost::beast::detail::base64;
  std::string text(codec::encoded_size(vector.size() * sizeof(float)), '\0');
  text.resize(codec::encode(text.data(), vector.data(), vector.size() * sizeof(float)));
  return text;
}

}  // namespace

boost::asio::awaitable<void> embeddings(Service& service, HttpExchange& exchange) {
  const Embeddings found = co_await embed_texts(service, exchange, read_request);
  Json data = Json::array();
  for (std::size_t i = 0; i < found.vectors.size(); ++i)
    data.push_back({{"object", "embedding"}, {"index", i}, {"embedding", vector_json(found.vectors[i], found.request.base64)}});
  const Json out = {{"object", "list"},
                    {"data", std::move(data)},
                    {"model", found.model->name()},
                    {"usage", {{"prompt_tokens", found.tokens}, {"total_tokens", found.tokens}}}};
  co_await exchange.respond(json_response(200, out));
}

}  // namespace bitnet::server
