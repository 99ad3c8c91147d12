// One sequence's tokens and text, drawn from logits that somebody else computes.
#include "inference/generation.h"

#include <utility>

#include "common/error.h"

namespace bitnet {

const char* text(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::deadline:
      return "deadline";
    case FinishReason::cancelled:
      break;
  }
  return "cancelled";
}

Generation::Generation(std::vector<TokenId> prompt, const SamplingParams& sampling, GenerationLimits limits,
                       std::int64_t n_vocab, const Tokenizer* tokenizer, std::uint64_t sequence,
                       std::optional<Constraint> constraint, std::vector<TokenId> dry_breakers)
    : history_(std::move(prompt)),
      prompt_tokens_(history_.size()),
      limits_(std::move(limits)),
      sampler_(sampling, n_vocab, sequence, std::move(dry_breakers)),
      constraint_(std::move(constraint)),
      stops_(limits_.stop) {
  if (tokenizer != nullptr) decoder_.emplace(*tokenizer);
  if (limits_.tokens <= 0) reason_ = FinishReason::length;
  if (constraint_ && constraint_->must_end()) reason_ = FinishReason::stop;
}

std::vector<LogitQuery> Generation::queries(std::span<const TokenId> guessed) const {
  std::vector<LogitQuery> asked = {query()};
  if (guessed.empty()) return asked;
  std::vector<TokenId> text = history_;
  std::optional<Constraint> ahead = constraint_;
  for (const TokenId id : guessed) {
    if (limits_.is_end(id)) break;
    text.push_back(id);
    if (ahead) {
      if (!ahead->allows(id)) break;
      try {
        ahead->accept(id);
      } catch (const Error&) {
        break;  // too ambiguous there: whoever draws it will be told
      }
      if (ahead->must_end()) break;
    }
    asked.push_back(limits_.scores >= 0 ? LogitQuery{} : ahead ? ahead->query() : sampler_.query(text));
  }
  return asked;
}

void Generation::put(const LogitSet& logits, const PieceSink& sink) {
  const TokenId id = sampler_.sample(constraint_ ? constraint_->allowed_of(logits) : logits, history_, drawn().size());
  if (limits_.scores >= 0) scores_.push_back(score_token(logits, id, limits_.scores));
  history_.push_back(id);
  if (limits_.is_end(id)) return finish(FinishReason::stop, sink);
  if (constraint_) constraint_->accept(id);
  emit(decoder_ ? stops_.put(decoder_->put(id)) : std::string(), id, sink);
  if (stops_.stopped() || (constraint_ && constraint_->must_end())) {
    finish(FinishReason::stop, sink);
  } else if (static_cast<std::int64_t>(drawn().size()) >= limits_.tokens) {
    finish(FinishReason::length, sink);
  }
}

void Generation::finish(FinishReason reason, const PieceSink& sink) {
  if (reason_) return;
  reason_ = reason;
  if (!decoder_ || stops_.stopped()) return;
  std::string rest = stops_.put(decoder_->finish());
  rest += stops_.finish();
  if (!rest.empty()) emit(rest, -1, sink);
}

void Generation::emit(const std::string& text, TokenId id, const PieceSink& sink) {
  text_ += text;
  if (sink) sink({text, id, id < 0 || scores_.empty() ? nullptr : &scores_.back()});
}

}  // namespace bitnet
