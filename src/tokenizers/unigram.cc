// Viterbi over the pieces that begin at each character, with the arithmetic of sentencepiece 0.2.3 (unigram_model.cc).
#include "tokenizers/unigram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "common/error.h"
#include "common/utf8.h"
#include "tokenizers/vocabulary_tokenizer.h"

namespace bitnet {
namespace {

constexpr float unknown_penalty = 10.0f;
constexpr float score_reset = 100000.0f;  // sums beyond this start again from 0, so that long texts keep their precision
constexpr std::size_t max_piece = 1024;   // bytes; bounds the work per byte of text

// The best way to write the text up to some place; kept small, as there is one for each byte of a word.
struct Node {
  static constexpr TokenId not_reached = -1;
  static constexpr TokenId unknown(std::size_t size) { return -1 - static_cast<TokenId>(size); }

  float score = 0;
  TokenId id = not_reached;  // of its last piece; for an unknown character unknown(its bytes)
};

class Unigram final : public VocabularyTokenizer {
 public:
  Unigram(Vocabulary vocabulary, const SentencePieceOptions& options, bool eos_by_default)
      : VocabularyTokenizer(std::move(vocabulary), special_tokens(options), false, eos_by_default), options_(options) {
    if (vocabulary_.scores.empty()) fail(ErrorKind::bad_model, "tokenizer: a unigram vocabulary needs scores");
    choose_unknown();
    bytes_ = find_byte_tokens(*this);
    read_scores();
    prefix_ = vocabulary_.add_space_prefix.value_or(true);
    normalizer_ = {.charsmap = Charsmap(vocabulary_.precompiled_charsmap),
                   .verbatim = options.whole_text ? user_defined_pieces(*this) : PieceIndex(),
                   .squeeze = vocabulary_.remove_extra_whitespaces.value_or(true),
                   .escape = options.escape_spaces};
    vocabulary_.precompiled_charsmap = {};
    cutter_ = WordCutter(vocabulary_.tokens, options.escape_spaces ? space_mark : std::string_view(" "));
  }

  std::string piece(TokenId id, bool special) const override {
    return sentencepiece_text(*this, id, special, options_.unknown_text);
  }

  LeadingSpace leading_space() const override {
    if (!options_.escape_spaces) return LeadingSpace::keep;
    return normalizer_.squeeze ? LeadingSpace::drop_all : prefix_ ? LeadingSpace::drop_one : LeadingSpace::keep;
  }

 protected:
  void encode_text(std::string_view text, bool first, std::vector<TokenId>& ids) const override {
    const std::string marked = normalizer_.normalise(text, prefix_ && (first || options_.prefix_every_segment));
    std::vector<Node> best;
    float score = 0;       // of the text so far: sums grow as over the whole text, so they round as the library's do
    bool unknown = false;  // neighbouring unknown characters become one token
    for (std::string_view rest = marked; !rest.empty();) {
      const std::string_view word = rest.substr(0, cutter_.first_word(rest));
      score = find_best(word, score, best);
      unknown = append_best(word, best, unknown, ids);
      rest.remove_prefix(word.size());
    }
  }

 private:
  void choose_unknown() {
    for (std::size_t i = 0; !vocabulary_.unk && i < size(); ++i) {
      if (kind(static_cast<TokenId>(i)) == TokenKind::unknown) vocabulary_.unk = static_cast<TokenId>(i);
    }
    if (!vocabulary_.unk) fail(ErrorKind::bad_model, "tokenizer: a unigram vocabulary needs a token for unknown text");
  }

  void read_scores() {
    float lowest = std::numeric_limits<float>::max();
    std::vector<PieceIndex::Piece> pieces;
    for (std::size_t i = 0; i < size(); ++i) {
      const auto id = static_cast<TokenId>(i);
      const float score = vocabulary_.scores[i];
      if (!std::isfinite(score)) fail(ErrorKind::bad_model, "tokenizer: the score of token {} is not finite", i);
      if (kind(id) == TokenKind::normal) lowest = std::min(lowest, score);
      const bool written = kind(id) == TokenKind::normal || kind(id) == TokenKind::user_defined;
      if (written && token_text(id).size() <= max_piece) pieces.push_back({token_text(id), id});
    }
    pieces_ = PieceIndex(std::move(pieces));
    unknown_score_ = lowest - unknown_penalty;
  }

  // Fills one node per byte of the word and one for its end, from a text that scores `before`; returns the score behind the
  // word.
  float find_best(std::string_view word, float before, std::vector<Node>& best) const {
    best.assign(word.size() + 1, Node());
    best[0].score = before;
    std::size_t reached = 0;  // the farthest end so far
    for (std::size_t at = 0; at < word.size();) {
      const std::string_view rest = word.substr(at);
      const std::size_t character = utf8_decode(rest).size;
      if (std::abs(best[at].score) > score_reset) rebase(best, at, reached);
      const float here = best[at].score;
      bool single = false;                                                 // does a piece cover just this character?
      const auto offer = [&](std::size_t size, float score, TokenId id) {  // the first of equals stays
        reached = std::max(reached, at + size);
        Node& node = best[at + size];
        if (node.id == Node::not_reached || score + here > node.score) node = {score + here, id};
      };
      pieces_.prefixes(rest, [&](std::size_t size, TokenId id) {
        offer(size, score_of(size, id), id);
        single = single || size == character;
      });
      if (!single) offer(character, unknown_score_, Node::unknown(character));
      at += character;
    }
    return best[word.size()].score;
  }

  static void rebase(std::vector<Node>& best, std::size_t at, std::size_t reached) {
    const float offset = best[at].score;
    for (std::size_t i = at; i <= reached; ++i) {
      if (i == at || best[i].id != Node::not_reached) best[i].score -= offset;
    }
    best[at].score = 0;
  }

  // User-defined pieces score above anything that log probabilities add up to.
  float score_of(std::size_t size, TokenId id) const {
    if (kind(id) == TokenKind::user_defined) return static_cast<float>(0.1 * static_cast<double>(size - 1));
    return vocabulary_.scores[static_cast<std::size_t>(id)];
  }

  bool append_best(std::string_view word, const std::vector<Node>& best, bool unknown, std::vector<TokenId>& ids) const {
    std::vector<std::size_t> ends;  // of the pieces, last first
    for (std::size_t end = word.size(); end > 0; end -= size_of(best[end].id)) ends.push_back(end);
    for (std::size_t i = ends.size(); i-- > 0;) {
      const TokenId id = best[ends[i]].id;
      unknown = append(word.substr(ends[i] - size_of(id), size_of(id)), id, unknown, ids);
    }
    return unknown;
  }

  std::size_t size_of(TokenId id) const { return id >= 0 ? token_text(id).size() : static_cast<std::size_t>(-1 - id); }

  bool append(std::string_view text, TokenId id, bool after_unknown, std::vector<TokenId>& ids) const {
    if (id >= 0) return ids.push_back(id), false;
    bool all_bytes = true;
    for (const char c : text) all_bytes = all_bytes && bytes_[static_cast<unsigned char>(c)] >= 0;
    if (all_bytes) {
      for (const char c : text) ids.push_back(bytes_[static_cast<unsigned char>(c)]);
      return false;
    }
    if (!after_unknown) ids.push_back(*vocabulary_.unk);
    return true;
  }

  SentencePieceOptions options_;
  SentencePieceNormalizer normalizer_;
  PieceIndex pieces_;
  WordCutter cutter_;
  std::vector<TokenId> bytes_;
  float unknown_score_ = 0;
  bool prefix_ = true;
};

}  // namespace

std::unique_ptr<const Tokenizer> make_unigram(Vocabulary vocabulary, const SentencePieceOptions& options) {
  const bool eos_by_default = vocabulary.model == "t5";
  return std::make_unique<Unigram>(std::move(vocabulary), options, eos_by_default);
}

}  // namespace bitnet
