// Scores of tokens as JSON: OpenAI's two shapes of logprobs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "inference/engine.h"
#include "server/api_error.h"

namespace bitnet::server {

// A token's text; one that holds half a character, which is not UTF-8 alone, as "bytes:\x..", so that no two look the same.
std::string token_text(const Engine& engine, TokenId id);

// {"token", "logprob", "bytes"}
Json scored_token(const Engine& engine, TokenId id, double log_probability);

// Of chat: {"content": [{"token", "logprob", "bytes", "top_logprobs"}], "refusal"}; null without scores.
Json chat_logprobs(const std::vector<TokenScore>& scores, const Engine& engine);

// The older shape: four lists of equal length. A token without a score, as the first of a prompt, has null.
class LegacyLogprobs {
 public:
  // `offset`: of the first token in the text; negative where it stands before it.
  explicit LegacyLogprobs(const Engine& engine, std::int64_t offset = 0) : engine_(engine), offset_(offset) {}
  void add(TokenId id, const TokenScore* score);
  Json json() const;

 private:
  const Engine& engine_;
  std::int64_t offset_;
  Json tokens_ = Json::array(), log_probabilities_ = Json::array(), top_ = Json::array(), offsets_ = Json::array();
};

}  // namespace bitnet::server
