// llama.cpp's own completion endpoint: its requests and its objects.
#pragma once

#include <memory>

#include "server/answer_writer.h"

namespace bitnet::server {

// Body of POST /completion: prompt, n_predict, stream, stop, the samplers, n_probs, grammar, json_schema, return_tokens. What
// says where or how the server computes (id_slot, cache_prompt, n_keep) means nothing here; image_data, lora,
// post_sampling_probs and t_max_predict_ms are refused by name. Throws ApiError.
CompletionRequest read_llama_request(const Json& body, const Engine& engine);

std::unique_ptr<AnswerWriter> llama_writer(AnswerContext context);

// /completions without /v1 is asked in both dialects: as llama.cpp's where the body has n_predict, else as OpenAI's.
CompletionRequest read_either_request(const Json& body, const Engine& engine);
std::unique_ptr<AnswerWriter> either_writer(AnswerContext context);

}  // namespace bitnet::server
