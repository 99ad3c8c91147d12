// Parses a template into its syntax tree.
#pragma once

#include <string_view>

#include "tokenizers/jinja_ast.h"

namespace bitnet::jinja {

// Throws Error{bad_model} with line and fact for what is no template or not in the subset. Statements and expressions nest at
// most `max_depth` deep.
Body parse(std::string_view source, int max_depth);

}  // namespace bitnet::jinja
