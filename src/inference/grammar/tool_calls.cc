// Free text up to an opening tag, and calls whose arguments satisfy their function's schema.
#include "inference/grammar/tool_calls.h"

#include <utility>
#include <vector>

#include "common/error.h"
#include "inference/grammar/json_text.h"
#include "inference/grammar/schema_reader.h"

namespace bitnet {
namespace {

// Any character but these.
ExpressionId other_than(GrammarSource& source, std::vector<CodeRange> ranges) {
  return source.characters(complement(normalised(std::move(ranges))));
}

// Texts without `tag`, whose first character stands nowhere else in it: plain characters, and beginnings of the tag, each
// followed by something that does not go on with it. Deterministic, so nothing piles up however long the text gets.
ExpressionId text_without(GrammarSource& source, std::string_view tag) {
  const auto code = [&](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(tag[i])); };
  const CodeRange first{code(0), code(0)};
  const ExpressionId plain = source.repeat(other_than(source, {first}), 0, -1);
  // From behind: what may follow the first i characters of the tag.
  ExpressionId rest = source.empty();
  for (std::size_t i = tag.size() - 1; i > 0; --i) {
    const ExpressionId leaves = source.sequence({other_than(source, {first, {code(i), code(i)}}), plain});
    std::vector<ExpressionId> ways = {source.empty(), leaves};
    if (i + 1 < tag.size()) ways.push_back(source.sequence({source.text(tag.substr(i, 1)), rest}));
    rest = source.choice(std::move(ways));
  }
  return source.sequence({plain, source.repeat(source.sequence({source.text(tag.substr(0, 1)), rest}), 0, -1)});
}

// A function without parameters, or with an empty list of them, takes {} and nothing else.
SchemaJson schema_of(const ToolSignature& tool) {
  SchemaJson schema = tool.parameters;
  if (schema.is_null()) schema = SchemaJson::object();
  if (!schema.is_object()) fail(ErrorKind::usage, "the parameters are not a JSON object");
  for (const char* elsewhere : {"$ref", "anyOf", "oneOf", "allOf", "enum", "const"}) {
    if (schema.contains(elsewhere)) return schema;
  }
  if (!schema.contains("type")) schema["type"] = "object";
  if (schema["type"] != "object")
    fail(ErrorKind::usage, "the parameters' 'type' is {}, it must be \"object\"", printable(schema["type"].dump()));
  const bool declares_none = !schema.contains("properties") || schema["properties"].empty();
  if (declares_none && !schema.contains("additionalProperties")) schema["additionalProperties"] = false;
  return schema;
}

ExpressionId call_of(GrammarSource& source, JsonText& json, const ToolSignature& tool) {
  try {
    const ExpressionId arguments = source.rule(write_json_schema(source, schema_of(tool)));
    return source.sequence(
        {source.text("\"" + tool.name + "\""), json.comma(), source.text("\"arguments\""), json.colon(), arguments});
  } catch (const Error& error) {
    fail(ErrorKind::usage, "function '{}': {}", printable(tool.name), error.what());
  }
}

}  // namespace

std::shared_ptr<const Grammar> grammar_of_tool_calls(std::span<const ToolSignature> tools, bool text_first, std::int64_t most) {
  if (tools.empty()) fail(ErrorKind::usage, "there is no function to call");
  GrammarSource source;
  JsonText json(source);
  const ExpressionId line = source.optional(source.text("\n"));
  std::vector<ExpressionId> functions;
  for (const ToolSignature& tool : tools) functions.push_back(call_of(source, json, tool));
  const RuleId call_rule = source.add_rule("a call");
  source.define(call_rule,
                source.sequence({source.text(tool_call_open), line, source.text("{\"name\""), json.colon(),
                                 source.choice(std::move(functions)), source.text("}"), line, source.text(tool_call_close)}));
  const ExpressionId call = source.rule(call_rule);
  const ExpressionId calls = source.sequence({call, source.repeat(source.sequence({line, call}), 0, most - 1)});
  const RuleId root = source.add_rule("an answer that may call functions");
  if (text_first) {
    source.define(root, source.sequence({text_without(source, tool_call_open), source.optional(calls)}));
  } else {
    source.define(root, calls);
  }
  return Grammar::compile(source, root);
}

}  // namespace bitnet
