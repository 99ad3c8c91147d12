// Reads a JSON Schema (2020-12 and draft 7) as a grammar of the JSON texts that satisfy it, in the order of its properties.
#include "inference/grammar/json_schema.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "common/error.h"
#include "inference/grammar/schema_reader.h"

namespace bitnet {
namespace {

// The keywords that say something, by the types that they speak of.
const std::map<std::string, Names, std::less<>> keyword_types = {
    {"properties", {"object"}},
    {"required", {"object"}},
    {"additionalProperties", {"object"}},
    {"minProperties", {"object"}},
    {"maxProperties", {"object"}},
    {"items", {"array"}},
    {"prefixItems", {"array"}},
    {"additionalItems", {"array"}},
    {"minItems", {"array"}},
    {"maxItems", {"array"}},
    {"uniqueItems", {"array"}},
    {"minLength", {"string"}},
    {"maxLength", {"string"}},
    {"pattern", {"string"}},
    {"minimum", {"number"}},
    {"maximum", {"number"}},
    {"exclusiveMinimum", {"number"}},
    {"exclusiveMaximum", {"number"}},
    {"format", {}},
    {"type", {}},
    {"enum", {}},
    {"const", {}},
    {"anyOf", {}},
    {"oneOf", {}},
    {"allOf", {}},
    {"$ref", {}},
    {"nullable", {}},
};

}  // namespace

RuleId SchemaReader::read() {
  const RuleId root = rule_at("#", root_);
  while (!waiting_.empty()) {
    const Waiting next = std::move(waiting_.back());
    waiting_.pop_back();
    source_.define(next.rule, write(*next.schema, next.place, 0));
  }
  return root;
}

RuleId SchemaReader::rule_at(const std::string& place, const SchemaJson& schema) {
  const auto [found, is_new] = rules_.try_emplace(place, 0);
  if (!is_new) return found->second;
  found->second = source_.add_rule(place);
  waiting_.push_back({found->second, place, &schema});
  return found->second;
}

ExpressionId SchemaReader::as_rule(const std::string& place, ExpressionId body) {
  const RuleId rule = source_.add_rule(place);
  source_.define(rule, body);
  return source_.rule(rule);
}

ExpressionId SchemaReader::write(const SchemaJson& schema, const std::string& path, int depth) {
  if (depth > GrammarLimits::depth) fail_at(path, fmt::format("schemas are nested deeper than {}", GrammarLimits::depth));
  if (schema.is_boolean()) return schema.get<bool>() ? text_.value() : source_.never();
  if (!schema.is_object()) fail_at(path, fmt::format("a schema is an object or a boolean, not {}", printable(schema.dump())));
  check_keywords(schema, path);
  if (schema.value("nullable", false)) {
    SchemaJson rest = schema;
    rest.erase("nullable");
    return source_.choice({write(rest, path, depth + 1), source_.text("null")});
  }
  // Nothing to merge: the other schema's own rule, which may be this one.
  if (const SchemaJson* only = only_part(schema, "$ref")) {
    if (!only->is_string()) fail_at(path, "'$ref' is no string");
    const auto reference = only->get<std::string>();
    return source_.rule(rule_at(reference, combiner_.target(reference, path)));
  }
  if (const SchemaJson* only = only_part(schema, "allOf"); only != nullptr && only->is_array() && only->size() == 1)
    return write((*only)[0], pointer_to(pointer_to(path, "allOf"), "0"), depth + 1);
  if (schema.contains("$ref") || schema.contains("allOf"))
    return write(combiner_.combined(schema, path, depth), path, depth + 1);
  if (schema.contains("anyOf") || schema.contains("oneOf")) return write_alternatives(schema, path, depth);
  if (schema.contains("const") || schema.contains("enum")) return write_values(schema, path);
  return write_types(schema, path, depth);
}

const SchemaJson* SchemaReader::only_part(const SchemaJson& schema, const char* keyword) {
  if (!schema.contains(keyword)) return nullptr;
  for (const auto& [key, value] : schema.items()) {
    if (key != keyword && !is_annotation(key)) return nullptr;
  }
  return &schema[keyword];
}

void SchemaReader::check_keywords(const SchemaJson& schema, const std::string& path) {
  for (const auto& [key, value] : schema.items()) {
    const bool harmless = (key == "uniqueItems" && value == SchemaJson(false));
    if (harmless || (is_annotation(key) && (key != "$id" || path == "#"))) continue;
    if (key == "nullable" && !value.is_boolean()) fail_at(path, "'nullable' is no boolean");
    if (key == "uniqueItems" || !keyword_types.contains(key))
      fail_at(path, fmt::format("the keyword '{}' is not supported", printable(key)));
  }
}

ExpressionId SchemaReader::write_alternatives(const SchemaJson& schema, const std::string& path, int depth) {
  if (schema.contains("anyOf") && schema.contains("oneOf")) fail_at(path, "'anyOf' beside 'oneOf' is not supported");
  const std::string key = schema.contains("anyOf") ? "anyOf" : "oneOf";
  const SchemaJson& parts = schema[key];
  if (!parts.is_array() || parts.empty()) fail_at(path, fmt::format("'{}' is no list of schemas", key));
  SchemaJson beside = SchemaJson::object();
  for (const auto& [name, value] : schema.items()) {
    if (name != key && !is_annotation(name)) beside[name] = value;
  }
  std::vector<ExpressionId> ways;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string place = pointer_to(pointer_to(path, key), std::to_string(i));
    for (std::size_t j = 0; key == "oneOf" && j < i; ++j) {
      if (!combiner_.are_disjoint(parts[i], parts[j], path, depth))
        fail_at(path,
                fmt::format("alternatives {} and {} of 'oneOf' may both match, which is not supported; 'anyOf' is", j, i));
    }
    if (beside.empty()) {
      ways.push_back(write(parts[i], place, depth + 1));
    } else {
      if (parts[i].is_object()) check_keywords(parts[i], place);
      ways.push_back(write(combiner_.merged(parts[i], beside, place, depth), place, depth + 1));
    }
  }
  return source_.choice(std::move(ways));
}

ExpressionId SchemaReader::write_values(const SchemaJson& schema, const std::string& path) {
  if (schema.contains("enum") && !schema["enum"].is_array()) fail_at(path, "'enum' is no list");
  SchemaJson values = schema.contains("enum") ? schema["enum"] : SchemaJson::array({schema["const"]});
  for (const auto& [key, value] : schema.items()) {
    if (key == "enum" || is_annotation(key)) continue;
    if (key == "const") {
      std::erase_if(values.get_ref<SchemaJson::array_t&>(), [&value = value](const SchemaJson& one) { return one != value; });
    } else if (key == "type") {
      const Names types = types_in(value, path);
      std::erase_if(values.get_ref<SchemaJson::array_t&>(), [&](const SchemaJson& one) {
        return std::none_of(types.begin(), types.end(), [&](const std::string& type) { return has_type(one, type); });
      });
    } else {
      fail_at(path, fmt::format("'{}' beside 'enum' or 'const' is not supported", printable(key)));
    }
  }
  std::vector<ExpressionId> ways;
  for (const SchemaJson& value : values) ways.push_back(text_.literal(value));
  return source_.choice(std::move(ways));
}

Names SchemaReader::types_in(const SchemaJson& type, const std::string& path) {
  static constexpr std::array<std::string_view, 7> known = {"null",   "boolean", "object", "array",
                                                            "string", "integer", "number"};
  Names names;
  const SchemaJson list = type.is_array() ? type : SchemaJson::array({type});
  for (const SchemaJson& name : list) {
    if (!name.is_string() || std::find(known.begin(), known.end(), name.get<std::string>()) == known.end())
      fail_at(path, fmt::format("'type' is {}, which is no type", printable(name.dump())));
    names.push_back(name.get<std::string>());
  }
  return names;
}

// Without 'type' those that the keywords speak of; without such keywords any value.
ExpressionId SchemaReader::write_types(const SchemaJson& schema, const std::string& path, int depth) {
  Names types;
  if (schema.contains("type")) {
    types = types_in(schema["type"], path);
  } else {
    for (const auto& [key, value] : schema.items()) {
      const auto known = keyword_types.find(key);
      if (key == "format") types.push_back("string");
      if (known != keyword_types.end()) types.insert(types.end(), known->second.begin(), known->second.end());
    }
    if (types.empty()) return text_.value();
  }
  std::sort(types.begin(), types.end());
  types.erase(std::unique(types.begin(), types.end()), types.end());
  std::vector<ExpressionId> ways;
  for (const std::string& type : types) ways.push_back(write_type(type, schema, path, depth));
  return source_.choice(std::move(ways));
}

ExpressionId SchemaReader::write_type(const std::string& type, const SchemaJson& schema, const std::string& path, int depth) {
  if (type == "null") return source_.text("null");
  if (type == "boolean") return source_.choice({source_.text("true"), source_.text("false")});
  if (type == "string") return write_string(schema, path);
  if (type == "object") return write_object(schema, path, depth);
  if (type == "array") return write_array(schema, path, depth);
  return write_number(type == "integer", schema, path);
}

namespace {

// Bounds what nothing else does: the nesting of values within constants, and all text together.
void check_size(const SchemaJson& schema) {
  constexpr int deepest = GrammarLimits::depth * 4;
  std::vector<std::pair<const SchemaJson*, int>> open = {{&schema, 1}};
  std::size_t bytes = 0;
  while (!open.empty()) {
    const auto [value, depth] = open.back();
    open.pop_back();
    bytes += 1 + (value->is_string() ? value->get_ref<const std::string&>().size() : 0);
    if (value->is_object()) {
      for (const auto& [key, part] : value->items()) bytes += key.size();
    }
    if (bytes > GrammarLimits::bytes) fail(ErrorKind::usage, "JSON schema: more than {} bytes", GrammarLimits::bytes);
    if (depth > deepest) fail(ErrorKind::usage, "JSON schema: values are nested deeper than {}", deepest);
    if (value->is_structured()) {
      for (const SchemaJson& part : *value) open.emplace_back(&part, depth + 1);
    }
  }
}

}  // namespace

RuleId write_json_schema(GrammarSource& source, const SchemaJson& schema) {
  check_size(schema);
  try {
    return SchemaReader(schema, source).read();
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::usage, "JSON schema: {}", printable(error.what(), 200));
  }
}

std::shared_ptr<const Grammar> grammar_from_parsed_json_schema(const nlohmann::ordered_json& schema) {
  GrammarSource source;
  const RuleId root = write_json_schema(source, schema);
  return Grammar::compile(source, root);
}

std::shared_ptr<const Grammar> grammar_from_json_schema(std::string_view schema) {
  if (schema.size() > GrammarLimits::bytes)
    fail(ErrorKind::usage, "JSON schema: {} bytes, at most {} are allowed", schema.size(), GrammarLimits::bytes);
  SchemaJson parsed;
  try {
    parsed = SchemaJson::parse(schema);
  } catch (const nlohmann::json::parse_error& error) {
    fail(ErrorKind::usage, "JSON schema: byte {} is no JSON: {}", error.byte, printable(error.what(), 160));
  }
  return grammar_from_parsed_json_schema(parsed);
}

std::shared_ptr<const Grammar> grammar_of_json_objects() {
  GrammarSource source;
  JsonText text(source);
  const RuleId root = source.add_rule("a JSON object");
  source.define(root, text.object());
  return Grammar::compile(source, root);
}

}  // namespace bitnet
