// One sequence's tokens and text, drawn from logits that somebody else computes.
#include "inference/generation.h"

#include <algorithm>
#include <utility>

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

namespace {

// The tokens whose text holds one of the texts over which DRY sees no repeat.
std::vector<TokenId> dry_breakers(const SamplingParams& sampling, std::int64_t n_vocab, const Tokenizer* tokenizer) {
  std::vector<TokenId> ids;
  if (sampling.dry_multiplier == 0 || tokenizer == nullptr) return ids;
  const auto size = std::min<std::int64_t>(n_vocab, static_cast<std::int64_t>(tokenizer->size()));
  for (TokenId id = 0; id < size; ++id) {
    const std::string text = tokenizer->piece(id);
    const auto holds = [&](const std::string& breaker) { return text.find(breaker) != std::string::npos; };
    if (std::any_of(sampling.dry_sequence_breakers.begin(), sampling.dry_sequence_breakers.end(), holds)) ids.push_back(id);
  }
  return ids;
}

}  // namespace

Generation::Generation(std::vector<TokenId> prompt, const SamplingParams& sampling, GenerationLimits limits,
                       std::int64_t n_vocab, const Tokenizer* tokenizer, std::uint64_t sequence,
                       std::optional<Constraint> constraint)
    : history_(std::move(prompt)),
      prompt_tokens_(history_.size()),
      limits_(std::move(limits)),
      sampler_(sampling, n_vocab, sequence, dry_breakers(sampling, n_vocab, tokenizer)),
      constraint_(std::move(constraint)),
      stops_(limits_.stop) {
  if (tokenizer != nullptr) decoder_.emplace(*tokenizer);
  if (limits_.tokens <= 0) reason_ = FinishReason::length;
  if (constraint_ && constraint_->must_end()) reason_ = FinishReason::stop;
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
