// Encodes marked text by merging characters.
#include "tokenizers/sentencepiece_bpe.h"

#include <cmath>
#include <tuple>
#include <utility>

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

std::optional<std::vector<SpecialToken>> special_tokens(const SentencePieceOptions& options) {
  if (options.whole_text) return std::vector<SpecialToken>();
  return options.special;
}

PieceIndex user_defined_pieces(const Tokenizer& tokenizer) {
  std::vector<PieceIndex::Piece> pieces;
  for (std::size_t i = 0; i < tokenizer.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (tokenizer.kind(id) == TokenKind::user_defined) pieces.push_back({tokenizer.token_text(id), id});
  }
  return PieceIndex(std::move(pieces));
}

std::string sentencepiece_text(const Tokenizer& tokenizer, TokenId id, bool special, const std::string& unknown_text) {
  switch (tokenizer.kind(id)) {
    case TokenKind::control:
      return special ? std::string(tokenizer.token_text(id)) : std::string();
    case TokenKind::unknown:
      return unknown_text;
    case TokenKind::byte:
      return std::string(1, static_cast<char>(byte_of_token(tokenizer.token_text(id))));
    default:
      return unmark(tokenizer.token_text(id));
  }
}

WordCutter::WordCutter(const std::vector<std::string>& tokens, std::string_view space) : space_(space) {
  for (const std::string_view token : tokens) {
    for (std::size_t at = token.find(space_, 1); at != std::string_view::npos; at = token.find(space_, at + 1)) {
      if (!token.substr(0, at).ends_with(space_)) before_space_.set(static_cast<unsigned char>(token[at - 1]));
    }
  }
}

std::size_t WordCutter::first_word(std::string_view text) const {
  for (std::size_t at = text.find(space_, 1); at != std::string_view::npos; at = text.find(space_, at + 1)) {
    if (!text.substr(0, at).ends_with(space_) && !before_space_[static_cast<unsigned char>(text[at - 1])]) return at;
  }
  return text.size();
}

namespace {

// What one call of encode remembers from word to word.
struct Scratch {
  struct Memo {
    TokenId left = -1, right = -1;
    std::optional<BpeMerge> merge;
  };
  static constexpr std::size_t memo_size = 1024;  // a power of two

  BpeMerger merger;
  std::vector<Memo> memo = std::vector<Memo>(memo_size);
  std::unordered_map<TokenId, std::uint32_t> undo;  // unused token -> size of the left part it was merged from
  bool after_unknown = false;                       // neighbouring unknown characters become one token
};

class SentencePieceBpe final : public VocabularyTokenizer {
 public:
  SentencePieceBpe(Vocabulary vocabulary, const SentencePieceOptions& options)
      : VocabularyTokenizer(std::move(vocabulary), special_tokens(options), true, false), options_(options) {
    if (!vocabulary_.merges.empty()) {
      ranks_ = read_merges(vocabulary_.merges, *this);
      vocabulary_.merges = {};
    } else {
      check_scores();
    }
    bytes_ = find_byte_tokens(*this);
    choose_unknown();
    spaces_last_ = bytes_[0] == 3 && find(std::string(space_mark) + std::string(space_mark)) == TokenId{259};
    prefix_ = vocabulary_.add_space_prefix.value_or(true);
    normalizer_ = {.charsmap = Charsmap(vocabulary_.precompiled_charsmap),
                   .verbatim = options.whole_text ? user_defined_pieces(*this) : PieceIndex(),
                   .squeeze = vocabulary_.remove_extra_whitespaces.value_or(false),
                   .escape = options.escape_spaces};
    vocabulary_.precompiled_charsmap = {};
    cutter_ = WordCutter(vocabulary_.tokens, options.escape_spaces ? space_mark : std::string_view(" "));
  }

  std::string piece(TokenId id, bool special) const override {
    if (special && !options_.whole_text && kind(id) == TokenKind::unknown) return std::string(token_text(id));
    return sentencepiece_text(*this, id, special, options_.unknown_text);
  }

  LeadingSpace leading_space() const override {
    if (!options_.escape_spaces) return LeadingSpace::keep;
    if (options_.whole_text && normalizer_.squeeze) return LeadingSpace::drop_all;
    return prefix_ ? LeadingSpace::drop_one : LeadingSpace::keep;
  }

 protected:
  void encode_text(std::string_view text, bool first, std::vector<TokenId>& ids) const override {
    const std::string marked = normalizer_.normalise(text, prefix_ && (first || options_.prefix_every_segment));
    Scratch scratch;
    for (std::string_view rest = marked; !rest.empty();) {
      const std::string_view word = rest.substr(0, cutter_.first_word(rest));
      encode_word(word, scratch, ids);
      rest.remove_prefix(word.size());
    }
  }

 private:
  void check_scores() const {
    if (vocabulary_.scores.empty()) {
      fail(ErrorKind::bad_model, "tokenizer: a SentencePiece vocabulary needs scores or merges, it has neither");
    }
    for (std::size_t i = 0; i < size(); ++i) {
      if (!std::isfinite(vocabulary_.scores[i]))
        fail(ErrorKind::bad_model, "tokenizer: the score of token {} is not finite", i);
    }
  }

  // Every text must have ids: by a token for unknown text or one for each byte.
  void choose_unknown() {
    for (std::size_t i = 0; !vocabulary_.unk && i < size(); ++i) {
      if (kind(static_cast<TokenId>(i)) == TokenKind::unknown) vocabulary_.unk = static_cast<TokenId>(i);
    }
    if (!vocabulary_.unk) vocabulary_.unk = find("<unk>");
    for (std::size_t byte = 0; !vocabulary_.unk && byte < bytes_.size(); ++byte) {
      if (bytes_[byte] < 0) {
        fail(ErrorKind::bad_model, "tokenizer: there is no token for unknown text and none for byte {:#04x}", byte);
      }
    }
  }

  void encode_word(std::string_view word, Scratch& scratch, std::vector<TokenId>& ids) const {
    std::vector<BpeSymbol>& symbols = scratch.merger.symbols;
    symbols.clear();
    for (std::size_t at = 0; at < word.size();) {
      const std::string_view rest = word.substr(at);
      const auto [size, whole] = normalizer_.verbatim.longest(rest);
      if (size > 0) {
        merge_symbols(word, scratch, ids);
        ids.push_back(whole), scratch.after_unknown = false;
        at += size;
        continue;
      }
      const std::string_view character = rest.substr(0, utf8_decode(rest).size);
      symbols.push_back(
          {find_normal(character).value_or(-1), static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(character.size())});
      at += character.size();
    }
    merge_symbols(word, scratch, ids);
  }

  void merge_symbols(std::string_view word, Scratch& scratch, std::vector<TokenId>& ids) const {
    BpeMerger& merger = scratch.merger;
    if (ranks_.empty()) {
      merger.merge([&](const BpeSymbol& left, const BpeSymbol& right) { return find_by_score(word, left, right, scratch); });
    } else {
      merger.merge([&](const BpeSymbol& left, const BpeSymbol& right) { return ranks_.find(left.id, right.id); });
    }
    for (const BpeSymbol& symbol : merger.symbols) append(word.substr(symbol.begin, symbol.size), symbol.id, scratch, ids);
    merger.symbols.clear();
  }

  // Control and byte tokens are not written in text.
  std::optional<TokenId> find_normal(std::string_view text) const {
    const std::optional<TokenId> id = find(text);
    if (!id) return id;
    const TokenKind kind = this->kind(*id);
    const bool written = kind == TokenKind::normal || kind == TokenKind::user_defined || kind == TokenKind::unused;
    return written ? id : std::nullopt;
  }

  std::optional<BpeMerge> find_by_score(std::string_view word, const BpeSymbol& left, const BpeSymbol& right,
                                        Scratch& scratch) const {
    const std::size_t place = static_cast<std::size_t>(left.id) * 31 + static_cast<std::size_t>(right.id);
    Scratch::Memo& memo = scratch.memo[place % Scratch::memo_size];
    const bool tokens = left.id >= 0 && right.id >= 0;
    if (tokens && memo.left == left.id && memo.right == right.id) return memo.merge;
    std::optional<BpeMerge> merge;
    if (const auto id = find_normal(word.substr(left.begin, left.size + right.size))) {
      const double score = static_cast<double>(vocabulary_.scores[static_cast<std::size_t>(*id)]);
      merge = BpeMerge{spaces_last_ && is_spaces(token_text(*id)) ? last_priority : -score, *id};
      if (kind(*id) == TokenKind::unused) {
        scratch.undo[*id] = left.size;
        return merge;
      }
    }
    if (tokens) memo = {left.id, right.id, merge};
    return merge;
  }

  static bool is_spaces(std::string_view text) {
    while (text.starts_with(space_mark)) text.remove_prefix(space_mark.size());
    return text.empty();
  }

  // An unused token stands for a step on the way to longer ones: left over, it falls apart into what it was merged from.
  void append(std::string_view text, TokenId id, Scratch& scratch, std::vector<TokenId>& ids) const {
    const auto is_unused = [this](TokenId token) { return token >= 0 && kind(token) == TokenKind::unused; };
    if (!is_unused(id)) return append_whole(text, id, scratch, ids);
    std::vector<std::pair<std::string_view, TokenId>> todo{{text, id}};  // last first
    while (!todo.empty()) {
      std::tie(text, id) = todo.back();
      todo.pop_back();
      const auto undo = is_unused(id) ? scratch.undo.find(id) : scratch.undo.end();
      if (undo == scratch.undo.end()) {
        append_whole(text, is_unused(id) ? -1 : id, scratch, ids);
        continue;
      }
      for (const std::string_view part : {text.substr(undo->second), text.substr(0, undo->second)}) {
        todo.emplace_back(part, find_normal(part).value_or(-1));
      }
    }
  }

  void append_whole(std::string_view text, TokenId id, Scratch& scratch, std::vector<TokenId>& ids) const {
    if (id >= 0) {
      ids.push_back(id), scratch.after_unknown = false;
      return;
    }
    bool all_bytes = true;
    for (const char c : text) all_bytes = all_bytes && bytes_[static_cast<unsigned char>(c)] >= 0;
    if (all_bytes) {
      for (const char c : text) ids.push_back(bytes_[static_cast<unsigned char>(c)]);
    } else if (!scratch.after_unknown) {
      ids.push_back(*vocabulary_.unk);
    }
    scratch.after_unknown = !all_bytes;
  }

  SentencePieceOptions options_;
  SentencePieceNormalizer normalizer_;
  WordCutter cutter_;
  MergeTable ranks_;
  std::vector<TokenId> bytes_;
  bool prefix_ = true;
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
