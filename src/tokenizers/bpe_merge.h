// Byte-pair merging of a row of symbols, best pair first, in n log n.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
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

// Memory that encode calls reuse from word to word. Short words, nearly all there are, look at every pair for each merge. Long
// ones keep positions by priority: pairs mostly come in from left to right, so a queue serves where a heap would cost a
// logarithm.
class BpeMerger {
 public:
  std::vector<BpeSymbol> symbols;  // in: the word; out: what is left, in order

  // `lookup(left, right)` gives the merge of two neighbours, if there is one.
  template <class Lookup>
  void merge(const Lookup& lookup) {
    if (symbols.size() <= short_word) {
      merge_short(lookup);
    } else {
      merge_long(lookup);
    }
  }

 private:
  static constexpr std::size_t short_word = 32;

  // Positions of pairs with one priority, given out from left to right.
  class Queue {
   public:
    void push(std::int32_t position) {
      if (run_.empty() || position > run_.back()) {
        run_.push_back(position);
      } else {
        strays_.push_back(position);
        std::push_heap(strays_.begin(), strays_.end(), std::greater<>());
      }
    }
    bool empty() const { return next_ == run_.size() && strays_.empty(); }
    std::int32_t pop() {
      if (strays_.empty() || (next_ < run_.size() && run_[next_] < strays_.front())) return run_[next_++];
      std::pop_heap(strays_.begin(), strays_.end(), std::greater<>());
      const std::int32_t position = strays_.back();
      strays_.pop_back();
      return position;
    }

   private:
    std::vector<std::int32_t> run_, strays_;  // ascending; a heap
    std::size_t next_ = 0;
  };

  template <class Lookup>
  void merge_short(const Lookup& lookup) {
    std::optional<BpeMerge> pairs[short_word];  // of each symbol with its right neighbour
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) pairs[i] = lookup(symbols[i], symbols[i + 1]);
    while (symbols.size() > 1) {
      std::size_t best = symbols.size();
      for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
        if (pairs[i] && (best == symbols.size() || pairs[i]->priority < pairs[best]->priority)) best = i;
      }
      if (best == symbols.size()) return;
      symbols[best] = {pairs[best]->id, symbols[best].begin, symbols[best].size + symbols[best + 1].size};
      symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
      std::move(pairs + best + 1, pairs + symbols.size(), pairs + best);
      if (best + 1 < symbols.size()) pairs[best] = lookup(symbols[best], symbols[best + 1]);
      if (best > 0) pairs[best - 1] = lookup(symbols[best - 1], symbols[best]);
    }
  }

  template <class Lookup>
  void merge_long(const Lookup& lookup) {
    const auto n = static_cast<std::int32_t>(symbols.size());
    next_.resize(symbols.size()), previous_.resize(symbols.size());
    for (std::int32_t i = 0; i < n; ++i) next_[at(i)] = i + 1 < n ? i + 1 : -1, previous_[at(i)] = i - 1;
    queues_.clear();
    for (std::int32_t i = 0; i + 1 < n; ++i) push(i, lookup);
    while (!queues_.empty()) {
      const auto first = queues_.begin();
      if (first->second.empty()) {
        queues_.erase(first);
        continue;
      }
      const std::int32_t left = first->second.pop(), right = next_[at(left)];
      if (symbols[at(left)].size == 0 || right < 0) continue;
      const std::optional<BpeMerge> merge = lookup(symbols[at(left)], symbols[at(right)]);
      if (!merge || merge->priority != first->first) continue;  // either side has been merged meanwhile
      symbols[at(left)].id = merge->id, symbols[at(left)].size += symbols[at(right)].size;
      symbols[at(right)].size = 0;
      next_[at(left)] = next_[at(right)];
      if (next_[at(right)] >= 0) previous_[at(next_[at(right)])] = left;
      push(left, lookup);
      if (previous_[at(left)] >= 0) push(previous_[at(left)], lookup);
    }
    symbols.erase(std::remove_if(symbols.begin(), symbols.end(), [](const BpeSymbol& s) { return s.size == 0; }),
                  symbols.end());
  }

  static std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }

  template <class Lookup>
  void push(std::int32_t left, const Lookup& lookup) {
    const std::int32_t right = next_[at(left)];
    if (right < 0) return;
    const std::optional<BpeMerge> merge = lookup(symbols[at(left)], symbols[at(right)]);
    if (merge) queues_[merge->priority].push(left);
  }

  std::map<double, Queue> queues_;  // by priority
  std::vector<std::int32_t> next_, previous_;
};

// (left id, right id) -> rank and result, from a list of merges. Open addressing: this is the inner loop of encoding.
class MergeTable {
 public:
  void reserve(std::size_t merges);
  void add(TokenId left, TokenId right,
           TokenId result);  // the rank is the count of merges added before; repeated pairs keep the first
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

// Reads "left right" merges against the vocabulary. Throws Error{bad_model} naming the merge that has no space, or whose parts
// or result are no tokens.
MergeTable read_merges(const std::vector<std::string>& merges, const Tokenizer& tokenizer);

}  // namespace bitnet
