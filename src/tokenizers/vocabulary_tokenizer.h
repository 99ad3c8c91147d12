// What every tokenizer has in common: the table of tokens, special tokens in the text, BOS and EOS, decoding.
#pragma once

#include <string_view>
#include <unordered_map>

#include "tokenizers/special_tokens.h"
#include "tokenizers/tokenizer.h"

namespace bitnet {

// Subclasses encode stretches of ordinary text and say what a token is in running text.
class VocabularyTokenizer : public Tokenizer {
 public:
  std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const final;
  std::string decode(std::span<const TokenId> ids, bool special) const final;
  std::size_t size() const final { return vocabulary_.tokens.size(); }
  std::string_view token_text(TokenId id) const final { return vocabulary_.tokens[static_cast<std::size_t>(id)]; }
  std::optional<TokenId> find(std::string_view text) const final;
  TokenKind kind(TokenId id) const final;
  const Vocabulary& vocabulary() const final { return vocabulary_; }
  LeadingSpace leading_space() const override { return LeadingSpace::keep; }

 protected:
  // Checks ids and lengths; throws Error{bad_model}. Without `special`, the special tokens are the vocabulary's control and
  // user-defined ones. `bos_by_default` and `eos_by_default` hold where the vocabulary does not say.
  VocabularyTokenizer(Vocabulary vocabulary, std::optional<std::vector<SpecialToken>> special, bool bos_by_default,
                      bool eos_by_default);

  // Appends the ids of a non-empty stretch of text without special tokens. `first` when nothing but BOS stands before it.
  virtual void encode_text(std::string_view text, bool first, std::vector<TokenId>& ids) const = 0;

  Vocabulary vocabulary_;

 private:
  std::unordered_map<std::string_view, TokenId> index_;  // of texts in vocabulary_; the first of equal ones
  SpecialTokens special_;
  bool add_bos_, add_eos_;
};

}  // namespace bitnet
