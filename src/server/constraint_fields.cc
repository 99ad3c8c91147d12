// Schemas, grammars, regexes and choices, compiled as they are read.
#include "server/constraint_fields.h"

#include <string_view>
#include <vector>

namespace bitnet::server {
namespace {

// A grammar that cannot be kept is an error of the request that names its field.
template <class Make>
std::shared_ptr<const Grammar> compiled(const std::string& field, Make make) {
  try {
    return make();
  } catch (const Error& error) {
    throw ApiError(400, "invalid_request_error", fmt::format("{}: {}", field, error.what()), "invalid_grammar", field);
  }
}

std::shared_ptr<const Grammar> choice_grammar(const Fields& fields, const char* name) {
  std::vector<std::string> choices;
  for (const Json& choice : *fields.array(name, 4096)) {
    if (!choice.is_string()) bad_field(name, "has an entry that is not a string");
    choices.push_back(choice.get<std::string>());
  }
  return compiled(name, [&] { return grammar_from_choices(choices); });
}

std::shared_ptr<const Grammar> grammar_of(const Fields& fields, const char* name, const Json& value) {
  const std::string_view form = name;
  if (form == "response_format") return format_grammar(value, name);
  if (form == "json_schema" || form == "guided_json") return schema_grammar(value, name);
  if (form == "guided_choice") return choice_grammar(fields, name);
  const std::string text = *fields.text(name);
  return compiled(name, [&] { return form == "guided_regex" ? grammar_from_regex(text) : grammar_from_gbnf(text); });
}

}  // namespace

std::shared_ptr<const Grammar> schema_grammar(const Json& schema, const std::string& field) {
  return compiled(field, [&] {
    return schema.is_string() ? grammar_from_json_schema(schema.get_ref<const std::string&>())
                              : grammar_from_parsed_json_schema(schema);
  });
}

std::shared_ptr<const Grammar> format_grammar(const Json& value, const std::string& path) {
  const Fields format(value, path + ".");
  const auto type = format.text("type").value_or("text");
  if (type == "text") return nullptr;
  const Json* schema =
      format.find("schema");  // llama.cpp puts one beside type json_object, the responses API beside json_schema
  if (type == "json_object") return schema == nullptr ? grammar_of_json_objects() : schema_grammar(*schema, path);
  if (type != "json_schema")
    bad_field(format.name("type"), "is '{}', allowed are text, json_object and json_schema", printable(type));
  if (schema != nullptr) return schema_grammar(*schema, path);
  const Json* wrapped = format.object("json_schema");
  if (wrapped == nullptr) bad_field(format.name("json_schema"), "is missing");
  schema = Fields(*wrapped, path + ".json_schema.").find("schema");
  if (schema == nullptr) bad_field(format.name("json_schema.schema"), "is missing");
  return schema_grammar(*schema, path);
}

std::shared_ptr<const Grammar> read_constraint(const Fields& fields) {
  const char* used = nullptr;
  std::shared_ptr<const Grammar> found;
  for (const char* name :
       {"response_format", "json_schema", "guided_json", "grammar", "guided_grammar", "guided_regex", "guided_choice"}) {
    const Json* value = fields.find(name);
    if (value == nullptr || (value->is_string() && value->get_ref<const std::string&>().empty())) continue;
    std::shared_ptr<const Grammar> grammar = grammar_of(fields, name, *value);
    if (grammar == nullptr) continue;
    if (used != nullptr) bad_field(name, "and {} exclude each other", used);
    used = name, found = std::move(grammar);
  }
  return found;
}

}  // namespace bitnet::server
