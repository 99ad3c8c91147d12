// Encodes marked text by merging characters.
#include "tokenizers/sentencepiece_bpe.h"

#include <cmath>

#include "common/error.h"
#include "common/utf8.h"
#include "tokenizers/bpe_merge.h"
#include "tokenizers/vocabulary_tokenizer.h"

namespace bitnet {

int byte_of_token(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  int value = 0;
  for (const char c : text.substr(3, 2)) {
    if (c >= '0' && c <= '9')
      value = value * 16 + (c - '0');
    else if (c >= 'A' && c <= 'F')
      value = value * 16 + (c - 'A' + 10);
    else if (c >= 'a' && c <= 'f')
      value = value * 16 + (c - 'a' + 10);
    else
      return -1;
  }
  return value;
}

std::vector<TokenId> find_byte_tokens(const Tokenizer& tokenizer) {
  std::vector<TokenId> ids(256, -1);
  for (std::size_t i = 0; i < tokenizer.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (tokenizer.kind(id) != TokenKind::byte) continue;
    const int byte = byte_of_token(tokenizer.token_text(id));
    if (byte < 0)
      fail(ErrorKind::bad_model, "tokenizer: byte token {} is '{}', it must be <0x00> to <0xFF>", id,
           printable(tokenizer.token_text(id)));
    ids[static_cast<std::size_t>(byte)] = id;
  }
  return ids;
}

std::string unmark(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const bool mark = text.starts_with(space_mark);
    out += mark ? ' ' : text[0];
    text.remove_prefix(mark ? space_mark.size() : 1);
  }
  return out;
}

namespace {

class SentencePieceBpe final : public VocabularyTokenizer {
 public:
  SentencePieceBpe(Vocabulary vocabulary, const SentencePieceOptions& options)
      : VocabularyTokenizer(std::move(vocabulary), options.special, true, false), options_(options) {
    if (!vocabulary_.merges.empty()) {
      ranks_ = read_merges(vocabulary_.merges, *this);
      vocabulary_.merges = {};
    } else if (vocabulary_.scores.empty()) {
      fail(ErrorKind::bad_model, "tokenizer: a SentencePiece vocabulary needs scores or merges, it has neither");
    }
    for (std::size_t i = 0; i < vocabulary_.scores.size(); ++i) {
      if (!std::isfinite(vocabulary_.scores[i]))
        fail(ErrorKind::bad_model, "tokenizer: the score of token {} is not finite", i);
    }
    bytes_ = find_byte_tokens(*this);
    spaces_last_ = bytes_[0] == 3 && find(std::string(space_mark) + std::string(space_mark)) == TokenId{259};
    prefix_ = vocabulary_.add_space_prefix.value_or(true);
  }

  std::string piece(TokenId id, bool special) const override {
    switch (kind(id)) {
      case TokenKind::control:
        return special ? std::string(token_text(id)) : std::string();
      case TokenKind::unknown:
        return special ? std::string(token_text(id)) : std::string(" \xe2\x81\x87 ");  // as sentencepiece shows it
      case TokenKind::byte:
        return std::string(1, static_cast<char>(byte_of_token(token_text(id))));
      default:
        return unmark(token_text(id));
    }
  }

  LeadingSpace leading_space() const override { return prefix_ ? LeadingSpace::drop_one : LeadingSpace::keep; }

 protected:
  void encode_text(std::string_view text, bool first, std::vector<TokenId>& ids) const override {
    const std::string marked = mark(text, prefix_ && (first || options_.prefix_every_segment));
    BpeMerger merger;
    for (std::string_view rest = marked; !rest.empty();) {
      const Utf8Char c = utf8_decode(rest);
      const std::string_view character = rest.substr(0, c.size);
      merger.symbols.push_back(
          {find_normal(character).value_or(-1), static_cast<std::uint32_t>(character.data() - marked.data()), c.size});
      rest.remove_prefix(c.size);
    }
    merger.merge([&](const BpeSymbol& left, const BpeSymbol& right) { return find_merge(marked, left, right); });
    bool unknown = false;  // neighbouring unknown characters become one token
    for (const BpeSymbol& symbol : merger.symbols) unknown = append(marked, symbol, unknown, ids);
  }

 private:
  static std::string mark(std::string_view text, bool prefix) {
    std::string out(prefix ? space_mark : std::string_view());
    while (!text.empty()) {
      const Utf8Char c = utf8_decode(text);
      if (c.code == U' ') {
        out += space_mark;
      } else {
        utf8_append(out, c.code);  // broken bytes become U+FFFD
      }
      text.remove_prefix(c.size);
    }
    return out;
  }

  // Control and byte tokens are not written in text.
  std::optional<TokenId> find_normal(std::string_view text) const {
    const std::optional<TokenId> id = find(text);
    if (!id) return id;
    const TokenKind kind = this->kind(*id);
    const bool written = kind == TokenKind::normal || kind == TokenKind::user_defined || kind == TokenKind::unused;
    return written ? id : std::nullopt;
  }

  std::optional<BpeMerge> find_merge(const std::string& marked, const BpeSymbol& left, const BpeSymbol& right) const {
    if (!ranks_.empty()) return ranks_.find(left.id, right.id);
    const auto id = find_normal(std::string_view(marked).substr(left.begin, left.size + right.size));
    if (!id) return std::nullopt;
    const double score = static_cast<double>(vocabulary_.scores[static_cast<std::size_t>(*id)]);
    return BpeMerge{spaces_last_ && is_spaces(token_text(*id)) ? last_priority : -score, *id};
  }

  static bool is_spaces(std::string_view text) {
    while (text.starts_with(space_mark)) text.remove_prefix(space_mark.size());
    return text.empty();
  }

  bool append(const std::string& marked, const BpeSymbol& symbol, bool after_unknown, std::vector<TokenId>& ids) const {
    if (symbol.id >= 0) return ids.push_back(symbol.id), false;
    const std::string_view character = std::string_view(marked).substr(symbol.begin, symbol.size);
    bool all_bytes = true;
    for (const char c : character) all_bytes = all_bytes && bytes_[static_cast<unsigned char>(c)] >= 0;
    if (all_bytes) {
      for (const char c : character) ids.push_back(bytes_[static_cast<unsigned char>(c)]);
      return false;
    }
    if (!vocabulary_.unk)
      fail(ErrorKind::bad_model, "tokenizer: the vocabulary has no token for '{}' and none for unknown text",
           printable(character));
    if (!after_unknown) ids.push_back(*vocabulary_.unk);
    return true;
  }

  SentencePieceOptions options_;
  MergeTable ranks_;
  std::vector<TokenId> bytes_;
  bool prefix_;
  // Vocabularies laid out as Llama 2's give tokens of several spaces the lowest score there is, so that words form first. Some
  // converters number the scores anew and lose that.
  bool spaces_last_ = false;
  static constexpr double last_priority = 1e9;
};

}  // namespace

std::unique_ptr<const Tokenizer> make_sentencepiece_bpe(Vocabulary vocabulary, const SentencePieceOptions& options) {
  return std::make_unique<SentencePieceBpe>(std::move(vocabulary), options);
}

}  // namespace bitnet
