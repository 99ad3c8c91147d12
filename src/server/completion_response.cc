// The shapes of OpenAI's completion objects, to the letter.
#include "server/completion_response.h"

#include "common/utf8.h"

namespace bitnet::server {
namespace {

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char c = utf8_decode(text);
    if (!c.valid) return false;
    text.remove_prefix(c.size);
  }
  return true;
}

// A token may hold half a character: what is not UTF-8 alone is written as bytes, so that no two tokens look the same.
std::string token_text(const Engine& engine, TokenId id) {
  const Tokenizer* tokenizer = engine.tokenizer();
  if (tokenizer == nullptr) return fmt::format("{}", id);
  const std::string piece = tokenizer->piece(id, true);
  if (is_utf8(piece)) return piece;
  std::string bytes = "bytes:";
  for (const char c : piece) bytes += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return bytes;
}

Json bytes_json(const Engine& engine, TokenId id) {
  Json bytes = Json::array();
  if (engine.tokenizer() == nullptr) return bytes;
  for (const char c : engine.tokenizer()->piece(id, true)) bytes.push_back(static_cast<unsigned char>(c));
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

// The older shape: four lists of equal length. A token without a score, as the first of a prompt, has null.
class LegacyLogprobs {
 public:
  explicit LegacyLogprobs(const Engine& engine, std::int64_t offset) : engine_(engine), offset_(offset) {}

  void add(TokenId id, const TokenScore* score) {
    const std::string text = token_text(engine_, id);
    tokens_.push_back(text), offsets_.push_back(offset_);
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

  Json json() const {
    return {{"tokens", tokens_}, {"token_logprobs", log_probabilities_}, {"top_logprobs", top_}, {"text_offset", offsets_}};
  }

 private:
  const Engine& engine_;
  std::int64_t offset_;
  Json tokens_ = Json::array(), log_probabilities_ = Json::array(), top_ = Json::array(), offsets_ = Json::array();
};

Json legacy_logprobs(const Answer& answer, const Engine& engine) {
  const GenerateResult& result = *answer.result;
  const bool with_prompt = answer.prompt_ids != nullptr && !answer.prompt_ids->empty();
  if (result.scores.empty() && result.prompt_scores.empty() && !with_prompt) return nullptr;
  LegacyLogprobs all(engine, 0);
  if (with_prompt) {
    all.add(answer.prompt_ids->front(), nullptr);
    for (const TokenScore& score : result.prompt_scores) all.add(score.id, &score);
  }
  for (const TokenScore& score : result.scores) all.add(score.id, &score);
  return all.json();
}

Json head_json(const ResponseHead& head, const char* object) {
  return {{"id", head.id},
          {"object", object},
          {"created", head.created},
          {"model", head.model},
          {"system_fingerprint", head.fingerprint}};
}

Json chunk(const ResponseHead& head, Json choice) {
  Json out = head_json(head, head.chat ? "chat.completion.chunk" : "text_completion");
  out["choices"] = Json::array({std::move(choice)});
  return out;
}

}  // namespace

const char* finish_word(FinishReason reason) { return reason == FinishReason::stop ? "stop" : "length"; }

Json usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", 0}}}};
}

Json completion_json(const ResponseHead& head, const std::vector<Answer>& answers, const Usage& usage, const Engine& engine) {
  Json out = head_json(head, head.chat ? "chat.completion" : "text_completion");
  out["choices"] = Json::array();
  for (const Answer& answer : answers) {
    const GenerateResult& result = *answer.result;
    Json choice = {{"index", answer.index}};
    if (head.chat) {
      choice["message"] = {{"role", "assistant"}, {"content", result.text}, {"refusal", nullptr}};
      choice["logprobs"] = chat_logprobs(result.scores, engine);
    } else {
      choice["text"] = (answer.prompt_text == nullptr ? "" : *answer.prompt_text) + result.text;
      choice["logprobs"] = result.scores.empty() && result.prompt_scores.empty() ? Json() : legacy_logprobs(answer, engine);
    }
    choice["finish_reason"] = finish_word(result.finish_reason);
    out["choices"].push_back(std::move(choice));
  }
  out["usage"] = usage_json(usage);
  return out;
}

Json role_chunk(const ResponseHead& head, std::int64_t index) {
  return chunk(head, {{"index", index},
                      {"delta", {{"role", "assistant"}, {"content", ""}}},
                      {"logprobs", nullptr},
                      {"finish_reason", nullptr}});
}

Json text_chunk(const ResponseHead& head, std::int64_t index, const std::string& text, const std::vector<TokenScore>& scores,
                std::int64_t text_offset, const Engine& engine) {
  Json choice = {{"index", index}};
  if (head.chat) {
    choice["delta"] = {{"content", text}};
    choice["logprobs"] = chat_logprobs(scores, engine);
  } else {
    choice["text"] = text;
    LegacyLogprobs all(engine, text_offset);
    for (const TokenScore& score : scores) all.add(score.id, &score);
    choice["logprobs"] = scores.empty() ? Json() : all.json();
  }
  choice["finish_reason"] = nullptr;
  return chunk(head, std::move(choice));
}

Json end_chunk(const ResponseHead& head, std::int64_t index, FinishReason reason) {
  Json choice = {{"index", index}};
  if (head.chat) {
    choice["delta"] = Json::object();
  } else {
    choice["text"] = "";
  }
  choice["logprobs"] = nullptr;
  choice["finish_reason"] = finish_word(reason);
  return chunk(head, std::move(choice));
}

Json usage_chunk(const ResponseHead& head, const Usage& usage) {
  Json out = head_json(head, head.chat ? "chat.completion.chunk" : "text_completion");
  out["choices"] = Json::array();
  out["usage"] = usage_json(usage);
  return out;
}

}  // namespace bitnet::server
