// Viterbi over a trie of pieces, with sentencepiece's arithmetic (unigram_model.cc, EncodeOptimized).
#include "tokenizers/unigram.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/error.h"
#include "common/utf8.h"
#include "tokenizers/charsmap.h"
#include "tokenizers/sentencepiece_bpe.h"
#include "tokenizers/vocabulary_tokenizer.h"

namespace bitnet {
namespace {

constexpr float unknown_penalty = 10.0f;
constexpr std::size_t max_piece = 1024;  // bytes; bounds the work per byte of text

// The pieces that may be written in text, by their bytes.
class PieceTrie {
 public:
  PieceTrie() : ends_(1, -1) {}

  void add(std::string_view piece, TokenId id) {
    std::uint32_t node = 0;
    for (const char c : piece) {
      const auto [edge, added] = edges_.try_emplace(key(node, c), static_cast<std::uint32_t>(ends_.size()));
      if (added) ends_.push_back(-1);
      node = edge->second;
    }
    if (ends_[node] < 0) ends_[node] = id;
  }

  // Calls found(size, id) for each piece that the text begins with, shortest first.
  template <class Found>
  void prefixes(std::string_view text, const Found& found) const {
    std::uint32_t node = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const auto edge = edges_.find(key(node, text[i]));
      if (edge == edges_.end()) return;
      node = edge->second;
      if (ends_[node] >= 0) found(i + 1, ends_[node]);
    }
  }

 private:
  static std::uint64_t key(std::uint32_t node, char c) { return std::uint64_t{node} * 256 + static_cast<unsigned char>(c); }

  std::unordered_map<std::uint64_t, std::uint32_t> edges_;
  std::vector<TokenId> ends_;
};

class Unigram final : public VocabularyTokenizer {
 public:
  Unigram(Vocabulary vocabulary, std::optional<std::vector<SpecialToken>> special, bool eos_by_default)
      : VocabularyTokenizer(std::move(vocabulary), std::move(special), false, eos_by_default),
        charsmap_(vocabulary_.precompiled_charsmap) {
    if (vocabulary_.scores.empty()) fail(ErrorKind::bad_model, "tokenizer: a unigram vocabulary needs scores");
    if (!vocabulary_.unk) fail(ErrorKind::bad_model, "tokenizer: a unigram vocabulary needs a token for unknown text");
    bytes_ = find_byte_tokens(*this);
    float lowest = std::numeric_limits<float>::max(), highest = std::numeric_limits<float>::lowest();
    for (std::size_t i = 0; i < size(); ++i) {
      const auto id = static_cast<TokenId>(i);
      const float score = vocabulary_.scores[i];
      if (!std::isfinite(score)) fail(ErrorKind::bad_model, "tokenizer: the score of token {} is not finite", i);
      if (kind(id) == TokenKind::normal) lowest = std::min(lowest, score), highest = std::max(highest, score);
      const bool written =
          kind(id) == TokenKind::normal || kind(id) == TokenKind::user_defined || kind(id) == TokenKind::unused;
      if (written && !token_text(id).empty() && token_text(id).size() <= max_piece) pieces_.add(token_text(id), id);
    }
    unknown_score_ = lowest - unknown_penalty, highest_ = highest;
    prefix_ = vocabulary_.add_space_prefix.value_or(true);
    squeeze_ = vocabulary_.remove_extra_whitespaces.value_or(true);
  }

  std::string piece(TokenId id, bool special) const override {
    switch (kind(id)) {
      case TokenKind::control:
        return special ? std::string(token_text(id)) : std::string();
      case TokenKind::unknown:
        return " \xe2\x81\x87 ";  // as sentencepiece shows it
      case TokenKind::byte:
        return std::string(1, static_cast<char>(byte_of_token(token_text(id))));
      default:
        return unmark(token_text(id));
    }
  }

  LeadingSpace leading_space() const override {
    return squeeze_ ? LeadingSpace::drop_all : prefix_ ? LeadingSpace::drop_one : LeadingSpace::keep;
  }

 protected:
  void encode_text(std::string_view text, bool first, std::vector<TokenId>& ids) const override {
    const std::string marked = normalise(text, first && prefix_);
    if (marked.empty()) return;
    struct Node {
      float score = 0;
      std::size_t start = std::string::npos;
      TokenId id = -1;
    };
    std::vector<Node> best(marked.size() + 1);  // ending at each byte
    for (std::size_t at = 0; at < marked.size();) {
      const std::string_view rest = std::string_view(marked).substr(at);
      const std::size_t character = utf8_decode(rest).size;
      const float here = best[at].score;
      bool single = false;
      const auto offer = [&](std::size_t end, float score, TokenId id) {  // the first of equals stays
        Node& node = best[end];
        if (node.start == std::string::npos || score + here > node.score) node = {score + here, at, id};
      };
      pieces_.prefixes(rest, [&](std::size_t size, TokenId id) {
        if (kind(id) == TokenKind::unused) return;
        const bool forced = kind(id) == TokenKind::user_defined;  // scores above any other way to write the same text
        offer(at + size, forced ? static_cast<float>(size) * highest_ - 0.1f : vocabulary_.scores[static_cast<std::size_t>(id)],
              id);
        single = single || size == character;
      });
      if (!single) offer(at + character, unknown_score_, -1);
      at += character;
    }
    std::vector<std::pair<std::size_t, std::size_t>> path;  // start, end
    for (std::size_t end = marked.size(); end > 0; end = best[end].start) path.emplace_back(best[end].start, end);
    bool unknown = false;  // neighbouring unknown characters become one token
    for (std::size_t i = path.size(); i-- > 0;) {
      const auto [start, end] = path[i];
      unknown = append(std::string_view(marked).substr(start, end - start), best[end].id, unknown, ids);
    }
  }

 private:
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

  // Charsmap, then white space: runs squeezed, ends trimmed, one put before, each written as a mark.
  std::string normalise(std::string_view text, bool prefix) const {
    std::string mapped;
    while (!text.empty()) {
      const Charsmap::Match match = charsmap_.longest(text);
      const Utf8Char c = utf8_decode(text);
      if (match.size > 0) {
        mapped += match.replacement;
      } else {
        utf8_append(mapped, c.code);
      }
      text.remove_prefix(match.size > 0 ? match.size : c.size);
    }
    std::string out;
    bool after_space = squeeze_;
    for (const char c : mapped) {
      if (c == ' ' && squeeze_ && after_space) continue;
      after_space = c == ' ';
      if (c == ' ') {
        out += space_mark;
      } else {
        out += c;
      }
    }
    while (squeeze_ && out.ends_with(space_mark)) out.resize(out.size() - space_mark.size());
    return prefix && !out.empty() ? std::string(space_mark) + out : out;
  }

  Charsmap charsmap_;
  PieceTrie pieces_;
  std::vector<TokenId> bytes_;
  float unknown_score_ = 0, highest_ = 0;
  bool prefix_ = true, squeeze_ = true;
};

}  // namespace

std::unique_ptr<const Tokenizer> make_unigram(Vocabulary vocabulary, std::optional<std::vector<SpecialToken>> special) {
  const bool eos_by_default = vocabulary.model == "t5";
  return std::make_unique<Unigram>(std::move(vocabulary), std::move(special), eos_by_default);
}

}  // namespace bitnet
