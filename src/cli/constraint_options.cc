// Declares the flags of structured output and compiles what they hold.
#include "cli/constraint_options.h"

#include <CLI/CLI.hpp>

#include "cli/terminal.h"
#include "common/error.h"

namespace bitnet::cli {
namespace {

constexpr std::size_t max_file_bytes = GrammarLimits::bytes + 1;  // one more, for the compiler to say that it is too long

// A schema begins with a brace, or is true or false; a file's name does not.
bool is_schema(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string::npos && (text[first] == '{' || text == "true" || text == "false");
}

}  // namespace

void add_constraint_flags(CLI::App& command, ConstraintOptions& options) {
  command
      .add_option("--json-schema", options.json_schema,
                  "write JSON that satisfies this schema: a file, or the schema itself when it begins with {")
      ->type_name("SCHEMA");
  command.add_option("--grammar", options.grammar, "write what this GBNF grammar allows")->type_name("FILE");
  command.add_option("--regex", options.regex, "write a text that this regular expression matches as a whole")
      ->type_name("REGEX");
  command.add_option("--choice", options.choices, "write one of these texts; repeated, once for each")
      ->type_name("TEXT")
      ->allow_extra_args(false);
}

std::shared_ptr<const Grammar> resolve(const ConstraintOptions& o) {
  const int given = !o.json_schema.empty() + !o.grammar.empty() + !o.regex.empty() + !o.choices.empty();
  if (given > 1) fail(ErrorKind::usage, "give one of --json-schema, --grammar, --regex and --choice");
  if (!o.json_schema.empty())
    return grammar_from_json_schema(is_schema(o.json_schema) ? o.json_schema : read_text_file(o.json_schema, max_file_bytes));
  if (!o.grammar.empty()) return grammar_from_gbnf(read_text_file(o.grammar, max_file_bytes));
  if (!o.regex.empty()) return grammar_from_regex(o.regex);
  if (!o.choices.empty()) return grammar_from_choices(o.choices);
  return nullptr;
}

}  // namespace bitnet::cli
