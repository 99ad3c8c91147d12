// GrammarSource: a context-free grammar over characters, as the front ends write it down and the compiler reads it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bitnet {

// What a request may ask of the compiler. The bounds count steps rather than time, so a grammar that compiles on one machine
// compiles on all of them.
struct GrammarLimits {
  static constexpr std::size_t bytes = 64u << 10;    // of the grammar's or schema's text
  static constexpr std::size_t rules = 4096;         // that it names or implies
  static constexpr int depth = 64;                   // of groups, or of schemas within schemas
  static constexpr std::int64_t repetition = 1000;   // of {m,n}, maxLength, maxItems
  static constexpr std::int64_t steps = 4 << 20;     // of the compiler; about 200 ms at most
  static constexpr std::int32_t states = 256 << 10;  // of all rules' automata together
};

struct CodeRange {
  char32_t first, last;  // both included
};

// Sorted, without overlaps, cut to Unicode scalar values (no surrogates).
std::vector<CodeRange> normalised(std::vector<CodeRange> ranges);
// The scalar values that are not in `ranges`, which are normalised.
std::vector<CodeRange> complement(const std::vector<CodeRange>& ranges);

using ExpressionId = std::int32_t;
using RuleId = std::int32_t;

// An expression is made from others once and never changes; ids are places in one table. Expressions over so many parts that
// compiling them would pass the limits are refused as they are made, with Error{usage}.
class GrammarSource {
 public:
  enum class Kind : std::uint8_t { never, text, characters, sequence, choice, repeat, list, rule };
  struct Expression {
    Kind kind = Kind::never;
    std::vector<ExpressionId> parts = {};
    std::vector<bool> required = {};     // list: one for each part but the last, which is the separator
    std::vector<CodeRange> ranges = {};  // characters
    std::string text = {};               // text: UTF-8, possibly empty
    std::int64_t least = 0, most = 0;    // repeat; most < 0 = without end
    RuleId rule = 0;
    std::int64_t weight = 1;  // about the states it takes when written out
    int depth = 1;
  };
  struct Rule {
    std::string name;
    ExpressionId body = -1;  // -1 = not defined yet
  };

  ExpressionId never() { return add({}); }
  ExpressionId text(std::string_view utf8);
  ExpressionId empty() { return text({}); }
  ExpressionId characters(std::vector<CodeRange> ranges);
  ExpressionId sequence(std::vector<ExpressionId> parts);
  ExpressionId choice(std::vector<ExpressionId> parts);
  ExpressionId repeat(ExpressionId part, std::int64_t least, std::int64_t most);
  ExpressionId optional(ExpressionId part) { return repeat(part, 0, 1); }
  // The items in their order, with the separator between any two; those that are not required may be left out.
  ExpressionId list(std::vector<ExpressionId> items, std::vector<bool> required, ExpressionId separator);
  ExpressionId rule(RuleId rule);

  // Throws Error{usage} for more rules than the limit.
  RuleId add_rule(std::string name);
  void define(RuleId rule, ExpressionId body) { rules_[static_cast<std::size_t>(rule)].body = body; }

  const Expression& operator[](ExpressionId id) const { return expressions_[static_cast<std::size_t>(id)]; }
  const std::vector<Rule>& rules() const { return rules_; }

 private:
  ExpressionId add(Expression expression);

  std::vector<Expression> expressions_;
  std::vector<Rule> rules_;
};

}  // namespace bitnet
