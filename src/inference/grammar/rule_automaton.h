// RuleAutomaton: how is one rule's expression read, byte by byte and call by call?
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "inference/grammar/grammar.h"
#include "inference/grammar/source.h"

namespace bitnet {

// Counts what compiling does; the same grammar takes the same steps everywhere.
class StepBudget {
 public:
  explicit StepBudget(std::int64_t steps) : left_(steps) {}
  bool take(std::int64_t steps) { return (left_ -= steps) >= 0; }  // false when there are not so many left
  void spend(std::int64_t steps);                                  // throws Error{usage} then
  std::int64_t left() const { return left_; }

 private:
  std::int64_t left_;
};

// Nondeterministic, with edges that read nothing; state 0 is where it starts, and nothing leads back there.
struct Nfa {
  static constexpr std::int32_t reads_nothing = -1, reads_byte = -2;
  struct Edge {
    std::int32_t from, to;
    std::int32_t call;  // a rule, or one of the two above
    std::uint8_t first, last;
  };
  std::int32_t states = 0;
  std::int32_t final = 0;
  std::vector<Edge> edges;

  std::int32_t add_state() { return states++; }
};

// Edges from `from` to `to` that read one character of `ranges` (normalised) as UTF-8.
void add_characters(Nfa& nfa, const std::vector<CodeRange>& ranges, std::int32_t from, std::int32_t to);
void add_text(Nfa& nfa, std::string_view bytes, std::int32_t from, std::int32_t to);

// State 0 is the start: it does not accept, and no edge leads to it.
struct RuleAutomaton {
  struct State {
    std::vector<Grammar::ByteEdge> edges;
    std::vector<Grammar::Call> calls;
    bool accepts = false;
  };
  std::vector<State> states;
};

// The non-empty texts of `nfa`. Deterministic in its bytes where that does not make it much larger (a subset construction that
// is given up when it grows); every state can reach an end. Throws Error{usage} when the budget is spent.
RuleAutomaton make_rule_automaton(const Nfa& nfa, StepBudget& budget);

}  // namespace bitnet
