// What a client asks of the model, whichever API it came through: prompts as ids, sampling, how the answer is to look.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "inference/engine.h"
#include "server/conversation.h"

namespace bitnet::server {

struct CompletionLimits {
  std::int64_t most_answers = 8;   // n
  std::int64_t most_prompts = 32;  // of one request
};

struct CompletionRequest {
  bool chat = false;
  std::string model;                          // as the client wrote it
  std::vector<std::vector<TokenId>> prompts;  // one for chat
  std::vector<std::string> prompt_texts;      // of each, for echo
  GenerateRequest generate;                   // without its prompt
  std::int64_t n = 1;                         // answers to each prompt
  std::int64_t best_of = 1;                   // of which the n most probable ones are given
  bool stream = false, include_usage = false, echo = false;
  bool calls = false;     // answers may hold calls of functions
  std::string cache_key;  // requests with the same one share pages; a tenant's own
  std::int64_t priority = 0;
  Json given_back;  // what the answer repeats of the request, in its protocol's form
};

// Bodies of POST /v1/chat/completions and /v1/completions (OpenAI's API reference; also the fields that llama.cpp and vLLM add:
// top_k, min_p, repeat_penalty, ...). Fields that mean nothing here are left alone; one that is known and cannot be done is an
// error that names it. Sampling defaults are the engine's. Messages for a model without a chat template become one text.
// Encodes the prompt, so it takes time linear in the body. Throws ApiError. Safe from several threads.
CompletionRequest read_chat_request(const Json& body, const Engine& engine);
CompletionRequest read_text_request(const Json& body, const Engine& engine);

// Makes the conversation the request's prompt, and holds its answer to calls where it may or must call; `field` is the name of
// the messages in this protocol. Throws ApiError, also where another constraint stands against the tools.
void set_conversation(CompletionRequest& request, const Conversation& conversation, const Engine& engine,
                      const char* field = "messages");

// Prompts as text, ids, or a list of either. Throws ApiError.
void read_prompts(const Fields& fields, const Engine& engine, CompletionRequest& request);

// A number of tokens: at least `least`, where negative ones mean as many as there is room for; nullopt when absent.
std::optional<std::int64_t> read_token_count(const Fields& fields, const char* name, std::int64_t least);

// 400 "unsupported_parameter".
[[noreturn]] void refuse_field(const std::string& name, const std::string& why);

}  // namespace bitnet::server
