// Ollama's API: its requests, its objects, and their lines of a stream.
#pragma once

#include <memory>
#include <string>

#include "server/answer_writer.h"

namespace bitnet::server {

// The model of a body, in field `model` or, as older clients write it, `name`. The tag ":latest" means nothing here.
std::string ollama_model(const Json& body);
// A name as clients of Ollama expect one: with a tag.
std::string ollama_name(const std::string& name);

// Bodies of POST /api/generate and /api/chat. What options say of loading a model (num_ctx, num_thread, ...) and keep_alive
// mean nothing here; suffix, images, context, template and thinking are refused by name. Without a prompt or messages nothing
// is generated: that is how clients load a model. Throws ApiError.
CompletionRequest read_ollama_generate(const Json& body, const Engine& engine);
CompletionRequest read_ollama_chat(const Json& body, const Engine& engine);

// An answer of either, one JSON object or one a line.
std::unique_ptr<AnswerWriter> ollama_writer(AnswerContext context);

// {"error": text}
Json ollama_error(const ApiError& error);

std::string utc_now();  // "2026-01-31T12:00:00.123456Z"

}  // namespace bitnet::server
