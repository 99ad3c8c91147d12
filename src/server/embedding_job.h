// Texts to vectors, whichever protocol asks for them.
#pragma once

#include <cstdint>
#include <vector>

#include "server/answer_stream.h"

namespace bitnet::server {

struct EmbeddingRequest {
  std::vector<std::vector<TokenId>> texts;
  std::int64_t dimensions = 0;  // 0 = all
  bool base64 = false;
};

struct Embeddings {
  EmbeddingRequest request;
  ModelUse model;
  std::vector<std::vector<float>> vectors;  // of each text, of length 1
  std::size_t tokens = 0;                   // of all texts
};

// The texts of field `name`: a text, token ids, or a list of either. With `truncate` a text over the context is cut to it, else
// it is an error. Throws ApiError naming the field.
std::vector<std::vector<TokenId>> read_texts(const Fields& fields, const char* name, const Engine& engine,
                                             bool truncate = false);

using ReadEmbeddings = EmbeddingRequest (*)(const Json& body, const Engine& engine);

// Reads the body on the reading thread, computes between the steps of running answers. Throws ApiError.
boost::asio::awaitable<Embeddings> embed_texts(Service& service, const HttpExchange& exchange, ReadEmbeddings read,
                                               AskedModel asked = asked_model);

}  // namespace bitnet::server
