// Generation: what becomes of one sequence's logits: drawn tokens, end tokens, stop strings, text, the reason for its end.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "inference/constraint.h"
#include "inference/logits.h"
#include "inference/sampler.h"
#include "inference/stop_strings.h"
#include "inference/token_score.h"
#include "tokenizers/tokenizer.h"

namespace bitnet {

enum class FinishReason { stop, length, cancelled, deadline };
const char* text(FinishReason reason);  // "stop", "length", "cancelled", "deadline"

// When a generation ends, beside being cancelled.
struct GenerationLimits {
  std::int64_t tokens;                 // at most so many are drawn
  std::vector<std::string> stop = {};  // non-empty; the text ends before the first one that appears
  std::int64_t scores = -1;            // of each drawn token, beside so many of the most probable ones; -1 = none are computed
  std::function<bool(TokenId)> is_end = [](TokenId) { return false; };  // the token that ends an answer; it has no text
};

// A token, and the text that became safe to show with it: valid UTF-8, possibly empty, never part of a stop string. What was
// held back comes at the end with id -1. An end token has no piece of its own.
struct TextPiece {
  std::string_view text;
  TokenId id;
  const TokenScore* score;  // null unless asked for; valid during the call
};
using PieceSink = std::function<void(const TextPiece& piece)>;

// One sequence: the caller brings the logits behind its history, this decides what they mean. The same logits give the same
// tokens and text whatever runs them. Not thread safe.
class Generation {
 public:
  // `prompt` is not empty; `tokenizer` may be null and outlives this. `sequence` tells the random draws of several answers to
  // one prompt apart; `dry_breakers` are the tokens over which DRY sees no repeat. With a constraint only the tokens that it
  // allows are drawn, as if the vocabulary held no others, and the text ends where it can only end. Throws Error{usage} for
  // parameters or stop strings that break their rules.
  Generation(std::vector<TokenId> prompt, const SamplingParams& sampling, GenerationLimits limits, std::int64_t n_vocab,
             const Tokenizer* tokenizer, std::uint64_t sequence = 0, std::optional<Constraint> constraint = std::nullopt,
             std::vector<TokenId> dry_breakers = {});

  // Prompt and what was drawn. Unless finished, the logits behind its last token come next.
  std::span<const TokenId> history() const { return history_; }
  std::span<const TokenId> drawn() const { return std::span(history_).subspan(prompt_tokens_); }
  const Sampler& sampler() const { return sampler_; }
  LogitQuery query() const {
    if (limits_.scores >= 0) return {};
    return constraint_ ? constraint_->query() : sampler_.query(history_);
  }

  // query(), and what will be asked behind each of some guessed tokens, if they come to be drawn; behind the first that cannot
  // come, or that would end the text, nothing.
  std::vector<LogitQuery> queries(std::span<const TokenId> guessed) const;

  // Draws the next token from an answer to query(). Throws Error{runtime} for logits that are not numbers, Error{too_big} for a
  // grammar that is too ambiguous here.
  void put(const LogitSet& logits, const PieceSink& sink);

  // Ends it from outside; nothing when it has ended.
  void finish(FinishReason reason, const PieceSink& sink);

  bool finished() const { return reason_.has_value(); }
  FinishReason reason() const { return *reason_; }  // once finished
  const std::string& text() const { return text_; }
  const std::string& stop_string() const { return stops_.found(); }  // that ended it; empty when something else did
  const std::vector<TokenScore>& scores() const { return scores_; }  // of drawn(), or none

 private:
  void emit(const std::string& text, TokenId id, const PieceSink& sink);

  std::vector<TokenId> history_;
  std::size_t prompt_tokens_;
  GenerationLimits limits_;
  Sampler sampler_;
  std::optional<Constraint> constraint_;
  StopStrings stops_;
  std::optional<StreamDecoder> decoder_;
  std::string text_;
  std::vector<TokenScore> scores_;
  std::optional<FinishReason> reason_;
};

}  // namespace bitnet
