// Requests to the scheduler as its tests make them.
#pragma once

#include "inference/scheduler.h"

namespace bitnet::test {

// `prompt` times the same id, then so many greedy tokens.
inline SequenceRequest plain(std::size_t prompt, std::int64_t tokens, TokenId id = 5) {
  SequenceRequest request;
  request.generate.prompt.assign(prompt, id);
  request.generate.max_tokens = tokens;
  request.generate.sampling.temperature = 0;
  request.generate.ignore_eos = true;
  return request;
}

}  // namespace bitnet::test
