// Fields that say how tokens are drawn and where an answer ends; they have the same names and meaning in every protocol.
#pragma once

#include <cstdint>

#include "inference/engine.h"
#include "server/json_fields.h"

namespace bitnet::server {

struct SamplingLimits {
  std::int64_t most_stops = 16, most_stop_bytes = 256;
  std::int64_t most_biases = 1024;
};

// temperature, top_k, top_p, ..., the penalties, seed, logit_bias and ignore_eos, by the names of OpenAI, llama.cpp, vLLM and
// Ollama, which agree. What is not there is as the model recommends; without a seed a random one is taken. Throws ApiError naming the
// field.
void read_sampling(const Fields& fields, const Engine& engine, GenerateRequest& generate, const SamplingLimits& limits = {});

// A text or a list of texts that end the answer. Empty ones count for nothing. Throws ApiError.
void read_stops(const Fields& fields, const char* name, GenerateRequest& generate, const SamplingLimits& limits = {});

}  // namespace bitnet::server
