// The common part of tokenizers.
#include "tokenizers/vocabulary_tokenizer.h"

#include "common/error.h"

namespace bitnet {
namespace {

constexpr std::size_t max_tokens = 1u << 22;

void check_id(const std::optional<TokenId>& id, std::string_view name, std::size_t n_tokens) {
  if (id && (*id < 0 || static_cast<std::size_t>(*id) >= n_tokens)) {
    fail(ErrorKind::bad_model, "tokenizer: the {} id is {}, the vocabulary has {} tokens", name, *id, n_tokens);
  }
}

void check_vocabulary(const Vocabulary& v) {
  const std::size_t n = v.tokens.size();
  if (n == 0) fail(ErrorKind::bad_model, "tokenizer: the vocabulary has no tokens");
  if (n > max_tokens)
    fail(ErrorKind::bad_model, "tokenizer: the vocabulary has {} tokens, at most {} are allowed", n, max_tokens);
  if (!v.scores.empty() && v.scores.size() != n)
    fail(ErrorKind::bad_model, "tokenizer: there are {} scores for {} tokens", v.scores.size(), n);
  if (!v.kinds.empty() && v.kinds.size() != n)
    fail(ErrorKind::bad_model, "tokenizer: there are {} token types for {} tokens", v.kinds.size(), n);
  check_id(v.bos, "BOS", n), check_id(v.eos, "EOS", n), check_id(v.eot, "EOT", n), check_id(v.unk, "unknown token", n);
  check_id(v.sep, "SEP", n), check_id(v.pad, "padding", n), check_id(v.cls, "CLS", n), check_id(v.mask, "mask", n);
}

std::vector<SpecialToken> special_of(const Vocabulary& v) {
  std::vector<SpecialToken> special;
  for (std::size_t i = 0; i < v.kinds.size(); ++i) {
    const bool user_defined = v.kinds[i] == TokenKind::user_defined;
    if (user_defined || v.kinds[i] == TokenKind::control || v.kinds[i] == TokenKind::unknown) {
      special.push_back({.text = v.tokens[i], .id = static_cast<TokenId>(i), .control = !user_defined});
    }
  }
  return special;
}

}  // namespace

VocabularyTokenizer::VocabularyTokenizer(Vocabulary vocabulary, std::optional<std::vector<SpecialToken>> special,
                                         bool bos_by_default, bool eos_by_default)
    : vocabulary_(std::move(vocabulary)) {
  check_vocabulary(vocabulary_);
  index_.reserve(vocabulary_.tokens.size());
  for (std::size_t i = 0; i < vocabulary_.tokens.size(); ++i)
    index_.try_emplace(vocabulary_.tokens[i], static_cast<TokenId>(i));
  special_ = SpecialTokens(special ? std::move(*special) : special_of(vocabulary_));
  add_bos_ = vocabulary_.bos && vocabulary_.add_bos.value_or(bos_by_default);
  add_eos_ = vocabulary_.eos && vocabulary_.add_eos.value_or(eos_by_default);
}

std::optional<TokenId> VocabularyTokenizer::find(std::string_view text) const {
  const auto found = index_.find(text);
  return found == index_.end() ? std::nullopt : std::optional(found->second);
}

TokenKind VocabularyTokenizer::kind(TokenId id) const {
  return vocabulary_.kinds.empty() ? TokenKind::normal : vocabulary_.kinds[static_cast<std::size_t>(id)];
}

std::vector<TokenId> VocabularyTokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<TokenId> ids;
  if (options.add_special && add_bos_) ids.push_back(*vocabulary_.bos);
  bool first = true;
  for (const SpecialTokens::Segment& segment : special_.split(text, options.parse_special)) {
    if (segment.token >= 0) {
      ids.push_back(segment.token);
    } else {
      encode_text(segment.text, first, ids);
    }
    first = false;
  }
  if (options.add_special && add_eos_) ids.push_back(*vocabulary_.eos);
  return ids;
}

std::string VocabularyTokenizer::decode(std::span<const TokenId> ids, bool special) const {
  StreamDecoder decoder(*this, special);
  std::string text;
  for (const TokenId id : ids) text += decoder.put(id);
  return text + decoder.finish();
}

}  // namespace bitnet
