// From a request's body to its answer, whole or as a stream: the one way that all protocols take, each with a writer of its
// own.
#pragma once

#include <memory>

#include "server/answer_writer.h"
#include "server/routes.h"

namespace bitnet::server {

using ReadRequest = CompletionRequest (*)(const Json& body, const Engine& engine);
using MakeWriter = std::unique_ptr<AnswerWriter> (*)(AnswerContext context);

// The name of the model that a body asks for; empty where it names none.
using AskedModel = std::string (*)(const Json& body);
std::string asked_model(const Json& body);  // its field `model`

struct ModelRequest {
  ModelUse model;
  CompletionRequest request;
};

// Reads the body on the reading thread, so that a long prompt holds up nobody's stream. `queues`: it is for the scheduler, and
// refused before its prompt is encoded when the queue is full. Throws ApiError.
boost::asio::awaitable<ModelRequest> read_request(Service& service, const HttpExchange& exchange, ReadRequest read,
                                                  AskedModel asked = asked_model, bool queues = false);

// Reads, runs and answers. Whoever leaves takes the work along. Throws ApiError before anything was sent.
boost::asio::awaitable<void> answer(Service& service, HttpExchange& exchange, ReadRequest read, MakeWriter make,
                                    AskedModel asked = asked_model);

}  // namespace bitnet::server
