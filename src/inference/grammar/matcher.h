// GrammarMatcher: how far has one text come in its grammar, and what may follow?
#pragma once

#include <bitset>
#include <cstdint>
#include <memory>
#include <string_view>

#include "inference/grammar/match_states.h"

namespace bitnet {

// The place after some bytes. A copy is a fork that goes its own way, and takes as long as the open nesting is deep. Memory
// grows with the nesting, not with the text. Not thread safe; different matchers of one grammar do not touch each other.
class GrammarMatcher {
 public:
  explicit GrammarMatcher(std::shared_ptr<const Grammar> grammar);
  GrammarMatcher(const GrammarMatcher& other);
  GrammarMatcher(GrammarMatcher&&) = default;
  GrammarMatcher& operator=(GrammarMatcher other) noexcept;

  // False, and nothing has changed, where no allowed text begins with what was accepted and these. Throws Error{too_big} for a
  // grammar that is too ambiguous here.
  bool accept(std::string_view bytes);

  bool can_end() const { return states_.can_end(now_); }
  bool can_continue() const { return !states_.threads(now_).empty(); }
  std::bitset<256> next_bytes() const;  // that accept() takes

  const Grammar& grammar() const { return *grammar_; }
  // For walks over many continuations: steps from now() in states() are those of accept(). Ids are valid until the next
  // accept().
  MatchStates& states() { return states_; }
  MatchStates::Id now() const { return now_; }
  // As long as this stays the same, equal ids of now() are equal places.
  std::uint64_t renamings() const { return renamings_; }

 private:
  std::shared_ptr<const Grammar> grammar_;
  MatchStates states_;
  MatchStates::Id now_;
  std::size_t memory_limit_;
  std::uint64_t renamings_ = 0;
};

}  // namespace bitnet
