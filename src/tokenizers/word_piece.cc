// BERT's normaliser, word splitter and longest-match-first pieces (Devlin et al., 2018).
#include "tokenizers/word_piece.h"

#include <utility>

#include "common/error.h"
#include "common/utf8.h"
#include "tokenizers/bert_unicode.h"
#include "tokenizers/charsmap.h"
#include "tokenizers/piece_index.h"
#include "tokenizers/unicode.h"
#include "tokenizers/vocabulary_tokenizer.h"

namespace bitnet {
namespace {

bool is_ideograph(char32_t c) {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
         (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

bool is_control(char32_t c) {
  if (c == U'\t' || c == U'\n' || c == U'\r') return false;
  const unicode::Category category = bert_category(c);
  return unicode::between(category, unicode::Category::Cc, unicode::Category::Co);
}

bool is_split_alone(char32_t c) {  // what BERT calls punctuation: all ASCII that is no letter, digit or space, and \p{P}
  const bool ascii = (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
  return ascii || unicode::between(bert_category(c), unicode::Category::Pc, unicode::Category::Po);
}

template <class Body>
void each_char(std::string_view text, const Body& body) {
  while (!text.empty()) {
    const Utf8Char c = utf8_decode(text);
    body(c.code);
    text.remove_prefix(c.size);
  }
}

// HuggingFace's clean-up of a piece that follows a space.
std::string clean_up(std::string piece) {
  static constexpr std::pair<std::string_view, std::string_view> rules[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : rules) {
    for (std::size_t at = piece.find(from); at != std::string::npos; at = piece.find(from, at + to.size()))
      piece.replace(at, from.size(), to);
  }
  return piece;
}

class WordPiece final : public VocabularyTokenizer {
 public:
  WordPiece(Vocabulary vocabulary, const WordPieceOptions& options)
      : VocabularyTokenizer(std::move(vocabulary), options.special, true, true), options_(options) {
    std::size_t marked = 0, continued = 0;
    for (const std::string& token : vocabulary_.tokens) {
      marked += token.starts_with(space_mark);
      continued += token.starts_with(options_.continuation);
    }
    if (marked > continued) start_ = space_mark, options_.continuation.clear();
    index_pieces();
    for (TokenKind& kind : vocabulary_.kinds)
      kind = kind == TokenKind::unknown ? TokenKind::normal : kind;  // [UNK] is a word like others
    unk_ = vocabulary_.unk ? vocabulary_.unk : find("[UNK]");
    if (!unk_) fail(ErrorKind::bad_model, "tokenizer: a WordPiece vocabulary needs a token for unknown words");
  }

  std::string piece(TokenId id, bool special) const override {
    const std::string_view text = token_text(id);
    if (kind(id) == TokenKind::control) return special ? " " + std::string(text) : std::string();
    if (id == *unk_) return " " + std::string(text);  // stands for a whole word, marked or not
    const bool marked_starts = !start_.empty();
    const std::string_view mark = marked_starts ? std::string_view(start_) : options_.continuation;
    const bool marked = text.size() > mark.size() && text.starts_with(mark);
    const std::string bare(text.substr(marked ? mark.size() : 0));
    return marked == marked_starts ? clean_up(" " + bare) : bare;
  }

  LeadingSpace leading_space() const override { return LeadingSpace::drop_one; }

 protected:
  void encode_text(std::string_view text, bool /*first*/, std::vector<TokenId>& ids) const override {
    std::string word;
    const auto end_word = [&] {
      if (!word.empty()) encode_word(word, ids);
      word.clear();
    };
    each_char(normalise(text), [&](char32_t c) {
      if (unicode::is_white_space(c)) return end_word();
      const bool alone = is_split_alone(c);
      if (alone) end_word();
      utf8_append(word, c);
      if (alone) end_word();
    });
    end_word();
  }

 private:
  std::string normalise(std::string_view text) const {
    std::string cleaned;
    each_char(text, [&](char32_t c) {
      if (options_.clean_text && (c == 0 || c == 0xfffd || is_control(c))) return;
      if (options_.clean_text && unicode::is_white_space(c)) c = U' ';
      const bool apart = options_.split_chinese && is_ideograph(c);
      if (apart) cleaned += ' ';
      utf8_append(cleaned, c);
      if (apart) cleaned += ' ';
    });
    if (options_.strip_accents) {
      std::string bare;
      each_char(unicode::nfd(cleaned), [&](char32_t c) {
        if (bert_category(c) != unicode::Category::Mn) utf8_append(bare, c);
      });
      cleaned = std::move(bare);
    }
    if (!options_.lowercase) return cleaned;
    std::string lower;
    each_char(cleaned, [&](char32_t c) { unicode::append_lower(lower, c); });
    return lower;
  }

  // Marks stay out of the index: it is searched with what stands in the text.
  void index_pieces() {
    std::vector<PieceIndex::Piece> starts, continuations;
    const std::string_view continuation = options_.continuation;
    for (std::size_t i = 0; i < size(); ++i) {
      const auto id = static_cast<TokenId>(i);
      const std::string_view text = token_text(id);
      if (text.starts_with(start_)) starts.push_back({text.substr(start_.size()), id});
      if (text.starts_with(continuation)) continuations.push_back({text.substr(continuation.size()), id});
    }
    starts_ = PieceIndex(std::move(starts)), continuations_ = PieceIndex(std::move(continuations));
  }

  // Longest known beginning first, then the same for the rest; all of it or unknown.
  void encode_word(std::string_view word, std::vector<TokenId>& ids) const {
    std::int64_t characters = 0;
    each_char(word, [&](char32_t) { ++characters; });
    if (characters > options_.max_word_chars) return ids.push_back(*unk_);
    const std::size_t kept = ids.size();
    for (std::size_t from = 0; from < word.size();) {
      const std::string_view rest = word.substr(from);
      const auto ends_character = [&](std::size_t size) {
        return size == rest.size() || (static_cast<unsigned char>(rest[size]) & 0xc0) != 0x80;
      };
      const auto [size, id] = (from == 0 ? starts_ : continuations_).longest(rest, ends_character);
      if (size == 0) {
        ids.resize(kept);
        return ids.push_back(*unk_);
      }
      ids.push_back(id);
      from += size;
    }
  }

  WordPieceOptions options_;
  std::string start_;  // prefix of pieces that begin a word
  PieceIndex starts_, continuations_;
  std::optional<TokenId> unk_;
};

}  // namespace

std::unique_ptr<const Tokenizer> make_word_piece(Vocabulary vocabulary, const WordPieceOptions& options) {
  return std::make_unique<WordPiece>(std::move(vocabulary), options);
}

}  // namespace bitnet
