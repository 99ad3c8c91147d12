// Grammar: which texts are allowed? A context-free language over bytes, compiled from GBNF, a regex, a choice or a JSON Schema.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "inference/grammar/source.h"

namespace bitnet {

// One automaton for each rule, whose edges read bytes or call a rule and go on behind it. Every state can reach an end, every
// rule reads at least one byte (a call of a rule that may be empty has a way around it), and no rule calls itself before it has
// read a byte. Immutable; safe to share between threads and sequences.
class Grammar {
 public:
  struct ByteEdge {
    std::uint8_t first, last;
    std::int32_t to;
  };
  struct Call {
    std::int32_t rule, back;  // `back`: the state behind the call
  };
  struct State {
    std::int32_t edges_begin, edges_end, calls_begin, calls_end;
    bool accepts;  // the rule may end here
  };
  struct Rule {
    std::int32_t start;
    std::int32_t order;  // callers before what their first state calls
  };

  // The language of `source`'s rule `root`. Throws Error{usage} naming the rule for left recursion, a language without a finite
  // text, or limits that are passed.
  static std::shared_ptr<const Grammar> compile(const GrammarSource& source, RuleId root);

  const State& state(std::int32_t id) const { return states_[static_cast<std::size_t>(id)]; }
  std::span<const ByteEdge> edges(const State& state) const {
    return std::span(edges_).subspan(state.edges_begin, state.edges_end - state.edges_begin);
  }
  std::span<const Call> calls(const State& state) const {
    return std::span(calls_).subspan(state.calls_begin, state.calls_end - state.calls_begin);
  }
  const Rule& rule(std::int32_t id) const { return rules_[static_cast<std::size_t>(id)]; }
  std::int32_t root() const { return root_; }     // a rule
  bool is_nullable() const { return nullable_; }  // the empty text belongs to it
  std::size_t state_count() const { return states_.size(); }

  // Bytes that no state tells apart are of one class.
  std::uint8_t byte_class(std::uint8_t byte) const { return classes_[byte]; }
  std::uint8_t byte_of_class(std::size_t byte_class) const { return bytes_[byte_class]; }
  std::size_t class_count() const { return bytes_.size(); }
  bool uses(std::uint8_t byte) const { return uses_[byte]; }  // some state reads it

 private:
  friend class GrammarCompiler;
  std::vector<State> states_;
  std::vector<ByteEdge> edges_;
  std::vector<Call> calls_;
  std::vector<Rule> rules_;
  std::int32_t root_ = 0;
  bool nullable_ = false;
  std::array<std::uint8_t, 256> classes_{};
  std::array<bool, 256> uses_{};
  std::vector<std::uint8_t> bytes_;
};

// The front ends; docs/structured-output.md says what each takes. All throw Error{usage} with the place and the fact, for what
// is malformed, unsupported, without any text, or over GrammarLimits.
std::shared_ptr<const Grammar> grammar_from_gbnf(std::string_view text);
std::shared_ptr<const Grammar> grammar_from_regex(std::string_view pattern);  // of the whole text
std::shared_ptr<const Grammar> grammar_from_choices(std::span<const std::string> choices);
std::shared_ptr<const Grammar> grammar_from_json_schema(std::string_view schema);
std::shared_ptr<const Grammar> grammar_from_parsed_json_schema(const nlohmann::ordered_json& schema);
std::shared_ptr<const Grammar> grammar_of_json_objects();  // any JSON object

}  // namespace bitnet
