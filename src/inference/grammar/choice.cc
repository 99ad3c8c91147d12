// One of a list of texts.
#include <utility>

#include "common/error.h"
#include "common/utf8.h"
#include "inference/grammar/grammar.h"

namespace bitnet {

std::shared_ptr<const Grammar> grammar_from_choices(std::span<const std::string> choices) {
  if (choices.empty()) fail(ErrorKind::usage, "the choice is empty");
  if (choices.size() > GrammarLimits::rules)
    fail(ErrorKind::usage, "the choice has {} texts, at most {} are allowed", choices.size(), GrammarLimits::rules);
  GrammarSource source;
  std::vector<ExpressionId> texts;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (choices[i].empty()) fail(ErrorKind::usage, "choice {} is empty", i + 1);
    if (!utf8_valid(choices[i])) fail(ErrorKind::usage, "choice {} is not valid UTF-8: '{}'", i + 1, printable(choices[i]));
    bytes += choices[i].size();
    if (bytes > GrammarLimits::bytes) fail(ErrorKind::usage, "the choice has more than {} bytes of text", GrammarLimits::bytes);
    texts.push_back(source.text(choices[i]));
  }
  const RuleId root = source.add_rule("the choice");
  source.define(root, source.choice(std::move(texts)));
  return Grammar::compile(source, root);
}

}  // namespace bitnet
