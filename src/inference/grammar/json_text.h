// JsonText: how JSON is written under a constraint: characters, numbers, blanks, and any value at all.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "inference/grammar/source.h"

namespace bitnet {

// A bound of numbers: digits / 10^scale.
struct Decimal {
  std::int64_t digits = 0;
  int scale = 0;
};
// Of a JSON number; saturates beyond 10^18. nullopt for more than 12 decimals.
std::optional<Decimal> decimal_of(const nlohmann::ordered_json& number);

struct NumberBounds {
  std::optional<Decimal> least, most;
  bool least_open = false, most_open = false;  // the bound itself is left out
  bool any() const { return least || most; }
};

// Parts of JSON, each made when it is first asked for. Between two tokens stands nothing, one space, or a line break and up to
// 20 spaces; before ':' and ',' nothing, behind ':' at most one space. Keeps a reference to the source.
class JsonText {
 public:
  explicit JsonText(GrammarSource& source) : source_(source) {}

  ExpressionId blank();  // where a line may break, possibly nothing
  ExpressionId colon();
  ExpressionId comma();
  // One character of `ranges` within a string, in its one shortest form: as it is where JSON allows that, else with an escape.
  ExpressionId characters(std::vector<CodeRange> ranges);
  // A string of that many characters, most < 0 = without end. Without bounds with all escapes; \u writes scalar values only,
  // those beyond U+FFFF as a pair of surrogates.
  ExpressionId string(std::int64_t least, std::int64_t most);
  ExpressionId quoted(ExpressionId characters);
  // A string that is none of `names`, in the form of characters().
  ExpressionId string_except(std::vector<std::string> names);
  ExpressionId literal(const nlohmann::ordered_json& value);  // as nlohmann writes it, without blanks

  ExpressionId integer(const NumberBounds& bounds);  // without exponent or fraction; up to 16 digits, more where the bounds ask
  // Without bounds up to 16 digits, a fraction of 16 and an exponent of two; with bounds no exponent, at least as many decimals
  // as the bounds have, and at most 15 digits, so that reading it as a double stays within the bounds. nullopt for bounds
  // beyond 10^14 or with so many decimals that this is not possible.
  std::optional<ExpressionId> number(const NumberBounds& bounds);

  ExpressionId value();   // anything
  ExpressionId object();  // any
  ExpressionId array();   // any

 private:
  ExpressionId any_character();
  ExpressionId digits(std::int64_t least, std::int64_t most);
  ExpressionId between(const std::string& least, const std::string& most, std::size_t dot);
  ExpressionId range(std::int64_t least, std::int64_t most, int scale);
  ExpressionId magnitude(std::int64_t least, bool least_open, std::int64_t most, bool most_open, int scale);
  ExpressionId sequence(std::vector<ExpressionId> parts) { return source_.sequence(std::move(parts)); }
  void make_values();

  GrammarSource& source_;
  std::optional<ExpressionId> blank_, string_, value_, object_, array_;
};

}  // namespace bitnet
