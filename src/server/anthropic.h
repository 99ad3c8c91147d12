// Anthropic's messages API: its requests, message objects and errors.
#pragma once

#include <memory>

#include "server/answer_writer.h"

namespace bitnet::server {

// Body of POST /v1/messages: messages of text, tool_use and tool_result blocks, system, max_tokens, stop_sequences, tools, ...
// A last message of the assistant is continued. Images, documents, thinking and tools of other types than custom are refused by
// name. Throws ApiError.
CompletionRequest read_anthropic_request(const Json& body, const Engine& engine);

// The same without max_tokens, for counting.
CompletionRequest read_anthropic_count(const Json& body, const Engine& engine);

// A message, whole or as the events message_start ... message_stop.
std::unique_ptr<AnswerWriter> anthropic_writer(AnswerContext context);

// {"type": "error", "error": {"type", "message"}}
Json anthropic_error(const ApiError& error);

}  // namespace bitnet::server
