// Tokens with their log-probabilities, in the shapes of OpenAI's API.
#include "server/token_scores.h"

#include <algorithm>

#include "common/utf8.h"

namespace bitnet::server {
namespace {

Json bytes_json(const Engine& engine, TokenId id) {
  Json bytes = Json::array();
  if (engine.tokenizer() == nullptr) return bytes;
  for (const char c : engine.tokenizer()->piece(id, true)) bytes.push_back(static_cast<unsigned char>(c));
  return bytes;
}

}  // namespace

std::string token_text(const Engine& engine, TokenId id) {
  const Tokenizer* tokenizer = engine.tokenizer();
  if (tokenizer == nullptr) return fmt::format("{}", id);
  const std::string piece = tokenizer->piece(id, true);
  if (utf8_valid(piece)) return piece;
  std::string bytes = "bytes:";
  for (const char c : piece) bytes += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return bytes;
}

Json scored_token(const Engine& engine, TokenId id, double log_probability) {
  return {{"token", token_text(engine, id)}, {"logprob", log_probability}, {"bytes", bytes_json(engine, id)}};
}

Json chat_logprobs(const std::vector<TokenScore>& scores, const Engine& engine) {
  if (scores.empty()) return nullptr;
  Json content = Json::array();
  for (const TokenScore& score : scores) {
    Json token = scored_token(engine, score.id, score.log_probability);
    token["top_logprobs"] = Json::array();
    for (const auto& [id, log_probability] : score.top)
      token["top_logprobs"].push_back(scored_token(engine, id, log_probability));
    content.push_back(std::move(token));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

void LegacyLogprobs::add(TokenId id, const TokenScore* score) {
  const std::string text = token_text(engine_, id);
  tokens_.push_back(text), offsets_.push_back(std::max<std::int64_t>(offset_, 0));
  offset_ += static_cast<std::int64_t>(text.size());
  log_probabilities_.push_back(score == nullptr ? Json() : Json(score->log_probability));
  if (score == nullptr) {
    top_.push_back(nullptr);
    return;
  }
  Json top = Json::object();
  // The token itself is always there, with the same number.
  for (const auto& [other, log_probability] : score->top) top[token_text(engine_, other)] = log_probability;
  top[text] = score->log_probability;
  top_.push_back(std::move(top));
}

Json LegacyLogprobs::json() const {
  return {{"tokens", tokens_}, {"token_logprobs", log_probabilities_}, {"top_logprobs", top_}, {"text_offset", offsets_}};
}

}  // namespace bitnet::server
