// MatchStates: what can a grammar be in the middle of? Sets of threads, each a state with the stack of states to return to.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "inference/grammar/grammar.h"

namespace bitnet {

// Sorted lists of pairs, each kept once and known by its number.
class PairSets {
 public:
  struct Pair {
    std::int32_t first, second;
    auto operator<=>(const Pair&) const = default;
  };

  std::int32_t intern(std::span<const Pair> sorted);
  std::span<const Pair> operator[](std::int32_t id) const {
    const auto i = static_cast<std::size_t>(id);
    return std::span(pairs_).subspan(begins_[i], begins_[i + 1] - begins_[i]);
  }
  std::size_t size() const { return begins_.size() - 1; }
  std::size_t pairs() const { return pairs_.size(); }

 private:
  void grow();

  std::vector<Pair> pairs_;
  std::vector<std::size_t> begins_ = {0};
  std::vector<std::uint64_t> hashes_;  // of each list
  std::vector<std::int32_t> table_;    // open addressing, -1 = free
};

// The automaton behind a grammar, unfolded as far as it was walked: a deterministic one over classes of bytes, whose states are
// sets of threads. A stack is a set of frames (state to return to, the stack below), so that stacks share what they have in
// common and an ambiguous grammar takes no more memory than text times states. Nothing recurses on the text. Keeps a reference
// to the grammar; not thread safe. Throws Error{too_big} when a grammar is so ambiguous that a step, a walk or all that is kept
// passes its bound.
class MatchStates {
 public:
  using Id = std::int32_t;
  static constexpr Id dead = 0;              // no text goes on from here
  static constexpr std::int32_t bottom = 0;  // the stack below which the text ends

  explicit MatchStates(const Grammar& grammar);

  // Until the next call of this, steps that were not taken before may do a bounded amount of work together.
  void start_walk() { work_ = 0; }
  Id start();                                         // of the grammar
  Id single(std::int32_t state, std::int32_t stack);  // this thread alone, as it stands in a set
  Id behind(std::int32_t stack);                      // what goes on after a rule with this stack has ended
  Id step(Id from, std::uint8_t byte_class) {         // dead when no thread reads it
    const std::size_t at = static_cast<std::size_t>(from) * classes_ + byte_class;
    return at < next_.size() && next_[at] >= 0 ? next_[at] : find_step(from, byte_class);
  }
  bool can_end(Id id) const;
  // (state, stack) of the threads that read bytes.
  std::span<const PairSets::Pair> threads(Id id) const;
  std::size_t memory() const { return (stacks_.pairs() + sets_.pairs()) * sizeof(PairSets::Pair) + next_.size() * sizeof(Id); }

  // Another with nothing but `id`, which it renames.
  MatchStates only(Id& id) const;

 private:
  using Pair = PairSets::Pair;
  Id find_step(Id from, std::uint8_t byte_class);
  Id close(std::vector<Pair> items, bool ends);

  const Grammar* grammar_;
  std::size_t classes_;
  PairSets stacks_;       // of (return state, stack below), or (-1, -1) at the bottom
  PairSets sets_;         // of (state, stack), and (-1, -1) where the text may end
  std::vector<Id> next_;  // (sets, byte classes), -1 = not known yet
  std::size_t work_ = 0;
};

}  // namespace bitnet
