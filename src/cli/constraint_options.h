// The flags that hold a command's output within a grammar.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "inference/grammar/grammar.h"

namespace CLI {
class App;
}

namespace bitnet::cli {

struct ConstraintOptions {
  std::string json_schema, grammar, regex;  // at most one of these and
  std::vector<std::string> choices;         // these is given
};

// --json-schema, --grammar, --regex, --choice.
void add_constraint_flags(CLI::App& command, ConstraintOptions& options);

// The grammar that was asked for; null when none was. Throws Error{usage} for one that is malformed, unsupported or over its
// limits, and for two of them; Error{not_found} or Error{io} for its file.
std::shared_ptr<const Grammar> resolve(const ConstraintOptions& options);

}  // namespace bitnet::cli
