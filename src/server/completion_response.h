// What clients of OpenAI's completion APIs get: whole objects and the chunks of a stream.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/completion_request.h"

namespace bitnet::server {

// What all objects of one answer have in common.
struct ResponseHead {
  std::string id;        // "chatcmpl-..." or "cmpl-..."
  std::int64_t created;  // Unix time in seconds
  std::string model;
  std::string fingerprint;
  bool chat;
};

// One of the answers, by its place among all of the request.
struct Answer {
  std::int64_t index;
  const GenerateResult* result;
  const std::string* prompt_text;          // of echo, else null
  const std::vector<TokenId>* prompt_ids;  // of echo
};

struct Usage {
  std::int64_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
};
Json usage_json(const Usage& usage);

// A chat.completion or text_completion.
Json completion_json(const ResponseHead& head, const std::vector<Answer>& answers, const Usage& usage, const Engine& engine);

// Chunks of a stream, in this order for each index: of chat the role first; then pieces of text; then the reason. With usage
// asked for, all have "usage": null and one more without choices follows.
Json role_chunk(const ResponseHead& head, std::int64_t index);
Json text_chunk(const ResponseHead& head, std::int64_t index, const std::string& text, const std::vector<TokenScore>& scores,
                std::int64_t text_offset, const Engine& engine);
Json end_chunk(const ResponseHead& head, std::int64_t index, FinishReason reason);
Json usage_chunk(const ResponseHead& head, const Usage& usage);

// "stop" or "length", the words of the API; ends by cancellation and deadline have none of their own there.
const char* finish_word(FinishReason reason);

}  // namespace bitnet::server
