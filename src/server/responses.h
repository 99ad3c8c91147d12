// OpenAI's responses API: its requests and its response objects. Nothing is stored.
#pragma once

#include <memory>

#include "server/answer_writer.h"

namespace bitnet::server {

// Body of POST /v1/responses: input (text or items), instructions, tools, text.format, max_output_tokens, ... What needs stored
// responses (previous_response_id, conversation, background) is refused by name; `store` is taken, and answered with false.
CompletionRequest read_responses_request(const Json& body, const Engine& engine);

// A response, whole or as named events, each with its sequence_number.
std::unique_ptr<AnswerWriter> responses_writer(AnswerContext context);

}  // namespace bitnet::server
