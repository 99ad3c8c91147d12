// OpenaiWriter: chat.completion and text_completion objects, whole and as chunks of a stream.
#pragma once

#include <memory>

#include "server/answer_writer.h"

namespace bitnet::server {

// Of either endpoint, as the request says. With usage asked for, all chunks have "usage": null and one without choices
// follows; "[DONE]" is last.
std::unique_ptr<AnswerWriter> openai_writer(AnswerContext context);

// "stop" or "length", the words of the API; ends by cancellation and deadline have none of their own there.
const char* finish_word(FinishReason reason);

Json usage_json(const Usage& usage);

}  // namespace bitnet::server
