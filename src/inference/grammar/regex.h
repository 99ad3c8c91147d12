// Regular expressions as parts of a grammar.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "inference/grammar/source.h"

namespace bitnet {

struct RegexExpression {
  ExpressionId id;
  std::int64_t least, most;  // characters that it matches; most < 0 = without end
};

// How the texts of a regular expression are written and found.
struct RegexUse {
  std::function<ExpressionId(std::vector<CodeRange>)> characters;  // one of these, as it stands in the output
  bool search = false;  // what it matches may stand anywhere but where ^ and $ say otherwise; else it is the whole text
  std::string what;     // its name in errors
};

// The safe subset: literals, . [] [^] \d \w \s \D \W \S \t \n \r \f \v \xHH \uHHHH, groups, | * + ? {m,n}, ^ and $ at the ends
// of alternatives outside of groups. Lazy forms mean the same here. \d, \w and \s are ASCII; their complements are everything
// else. Throws Error{usage} naming what is not in it: backreferences, lookaround, flags, boundaries, properties, possessive
// forms.
RegexExpression write_regex(GrammarSource& source, std::string_view pattern, const RegexUse& use);

}  // namespace bitnet
