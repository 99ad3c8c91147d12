// PieceIndex: which of a set of texts does a text begin with?
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizers/tokenizer.h"

namespace bitnet {

// A sorted list searched like a trie: its memory grows with the number of texts, not with their length. Views the texts. Safe
// to share between threads once built.
class PieceIndex {
 public:
  struct Piece {
    std::string_view text;
    TokenId id;
  };

  PieceIndex() = default;
  explicit PieceIndex(std::vector<Piece> pieces)
      : pieces_(std::move(pieces)) {  // empty texts never match; of equal ones the first counts
    std::stable_sort(pieces_.begin(), pieces_.end(), [](const Piece& a, const Piece& b) { return a.text < b.text; });
    const auto equal = [](const Piece& a, const Piece& b) { return a.text == b.text; };
    pieces_.erase(std::unique(pieces_.begin(), pieces_.end(), equal), pieces_.end());
    if (!pieces_.empty() && pieces_[0].text.empty()) pieces_.erase(pieces_.begin());
    for (const Piece& piece : pieces_) ++starts_[byte_at(piece, 0) + 1u];
    for (std::size_t byte = 0; byte < 256; ++byte) starts_[byte + 1] += starts_[byte];
  }

  bool empty() const { return pieces_.empty(); }

  // Calls found(size, id) for each piece that `text` begins with, shortest first.
  template <class Found>
  void prefixes(std::string_view text, const Found& found) const {
    if (pieces_.empty() || text.empty()) return;
    const auto lead = static_cast<unsigned char>(text[0]);
    const Piece* first = pieces_.data() + starts_[lead];
    const Piece* last = pieces_.data() + starts_[lead + 1u];
    std::size_t shared = 1;  // bytes that all of [first, last) have in common with the text
    while (first != last) {
      if (first->text.size() == shared) found(shared, first->id), ++first;
      if (shared == text.size()) return;
      narrow(first, last, shared, static_cast<unsigned char>(text[shared]));
      ++shared;
    }
  }

  // The longest piece that `text` begins with and whose end `accept(size)` allows; size 0 for none.
  template <class Accept>
  std::pair<std::size_t, TokenId> longest(std::string_view text, const Accept& accept) const {
    std::pair<std::size_t, TokenId> best{0, -1};
    prefixes(text, [&](std::size_t size, TokenId id) {
      if (accept(size)) best = {size, id};
    });
    return best;
  }
  std::pair<std::size_t, TokenId> longest(std::string_view text) const {
    return longest(text, [](std::size_t) { return true; });
  }

 private:
  static unsigned char byte_at(const Piece& piece, std::size_t i) { return static_cast<unsigned char>(piece.text[i]); }

  // Keeps the pieces whose byte at `place` is `byte`; all of [first, last) are longer than that and sorted by it.
  static void narrow(const Piece*& first, const Piece*& last, std::size_t place, unsigned char byte) {
    first = std::partition_point(first, last, [&](const Piece& p) { return byte_at(p, place) < byte; });
    last = std::partition_point(first, last, [&](const Piece& p) { return byte_at(p, place) == byte; });
  }

  std::vector<Piece> pieces_;
  std::array<std::uint32_t, 257> starts_{};  // where the pieces with each first byte begin
};

}  // namespace bitnet
