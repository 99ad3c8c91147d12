// Byte-pair merging of a row of symbols, best pair first, in n log n.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "tokenizers/tokenizer.h"

namespace bitnet {

struct BpeSymbol {
  TokenId id;           // -1 where the symbol is no token
  std::uint32_t begin;  // bytes of the text
  std::uint32_t size;   // 0 once merged into its left neighbour
};

struct BpeMerge {
  double priority;  // lower goes first; the leftmost among equals
  TokenId id;       // of the result
};

// Memory that encode calls reuse from word to word.
class BpeMerger {
 public:
  std::vector<BpeSymbol> symbols;  // in: the word; out: what is left, in order

  // `lookup(left, right)` gives the merge of two neighbours, if there is one.
  template <class Lookup>
  void merge(const Lookup& lookup) {
    const auto n = static_cast<std::int32_t>(symbols.size());
    next_.resize(symbols.size()), previous_.resize(symbols.size());
    for (std::int32_t i = 0; i < n; ++i) next_[at(i)] = i + 1 < n ? i + 1 : -1, previous_[at(i)] = i - 1;
    heap_.clear();
    for (std::int32_t i = 0; i + 1 < n; ++i) push(i, lookup);
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), later);
      const Candidate c = heap_.back();
      heap_.pop_back();
      const std::int32_t right = next_[at(c.left)];
      // Stale when either side has been merged meanwhile.
      if (symbols[at(c.left)].size != c.left_size || right < 0 || symbols[at(c.left)].size == 0 || symbols[at(right)].size != c.right_size) continue;
      BpeSymbol& left = symbols[at(c.left)];
      left.id = c.id, left.size += symbols[at(right)].size;
      symbols[at(right)].size = 0;
      next_[at(c.left)] = next_[at(right)];
      if (next_[at(right)] >= 0) previous_[at(next_[at(right)])] = c.left;
      push(c.left, lookup);
      if (previous_[at(c.left)] >= 0) push(previous_[at(c.left)], lookup);
    }
    symbols.erase(std::remove_if(symbols.begin(), symbols.end(), [](const BpeSymbol& s) { return s.size == 0; }), symbols.end());
  }

 private:
  struct Candidate {
    double priority;
    std::int32_t left;
    TokenId id;
    std::uint32_t left_size, right_size;
  };
  static std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }
  static bool later(const Candidate& a, const Candidate& b) { return a.priority != b.priority ? a.priority > b.priority : a.left > b.left; }

  template <class Lookup>
  void push(std::int32_t left, const Lookup& lookup) {
    const std::int32_t right = next_[at(left)];
    if (right < 0) return;
    const std::optional<BpeMerge> merge = lookup(symbols[at(left)], symbols[at(right)]);
    if (!merge) return;
    heap_.push_back({merge->priority, left, merge->id, symbols[at(left)].size, symbols[at(right)].size});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }

  std::vector<Candidate> heap_;
  std::vector<std::int32_t> next_, previous_;
};

// (left id, right id) -> rank and result, from a list of merges. Open addressing: this is the inner loop of encoding.
class MergeTable {
 public:
  void reserve(std::size_t merges);
  void add(TokenId left, TokenId right, TokenId result);  // the rank is the count of merges added before; repeated pairs keep the first
  std::optional<BpeMerge> find(TokenId left, TokenId right) const;
  bool empty() const { return count_ == 0; }

 private:
  struct Slot {
    std::uint64_t key = ~std::uint64_t{0};
    std::int32_t rank = 0;
    TokenId result = 0;
  };
  std::size_t place(std::uint64_t key) const;

  std::vector<Slot> slots_;
  std::size_t count_ = 0;
};

// Reads "left right" merges against the vocabulary. Throws Error{bad_model} naming the merge that has no space, or whose parts or
// result are no tokens.
MergeTable read_merges(const std::vector<std::string>& merges, const Tokenizer& tokenizer);

}  // namespace bitnet
