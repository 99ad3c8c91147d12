// Follows references in a JSON Schema, merges what has to hold together, and sees what cannot.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "common/error.h"
#include "inference/grammar/json_schema.h"

namespace bitnet {
namespace {

const std::set<std::string> all_types = {"null", "boolean", "object", "array", "string", "integer", "number"};

std::string unescaped(std::string_view part, const std::string& path) {
  std::string out;
  for (std::size_t i = 0; i < part.size(); ++i) {
    if (part[i] == '~' && i + 1 < part.size() && (part[i + 1] == '0' || part[i + 1] == '1')) {
      out += part[++i] == '0' ? '~' : '/';
    } else if (part[i] == '%' && i + 2 < part.size()) {
      const auto digit = [&](char c) {
        return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
      };
      const int high = digit(part[i + 1]), low = digit(part[i + 2]);
      if (high < 0 || low < 0) fail_at(path, "'$ref' has a broken escape");
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += part[i];
    }
  }
  return out;
}

std::vector<SchemaJson> allowed_values(const SchemaJson& schema) {
  if (schema.contains("const")) return {schema["const"]};
  return schema["enum"].get<std::vector<SchemaJson>>();
}

bool has_values(const SchemaJson& schema) {
  return schema.is_object() && (schema.contains("const") || (schema.contains("enum") && schema["enum"].is_array()));
}

std::set<std::string> type_names(const SchemaJson& type, const std::string& path) {
  std::set<std::string> names;
  const auto add = [&](const SchemaJson& name) {
    if (!name.is_string() || !all_types.contains(name.get<std::string>()))
      fail_at(path, fmt::format("'type' is {}, which is no type", printable(name.dump())));
    names.insert(name.get<std::string>());
  };
  if (type.is_array()) {
    for (const SchemaJson& name : type) add(name);
  } else {
    add(type);
  }
  return names;
}

bool requires_name(const SchemaJson& schema, const std::string& name) {
  return schema.contains("required") && schema["required"].is_array() &&
         std::find(schema["required"].begin(), schema["required"].end(), name) != schema["required"].end();
}

bool declares(const SchemaJson& schema, const std::string& name) {
  return schema.contains("properties") && schema["properties"].contains(name);
}

void check_depth(int depth, const std::string& path) {
  if (depth > GrammarLimits::depth)
    fail_at(path, fmt::format("schemas are nested or refer deeper than {}", GrammarLimits::depth));
}

}  // namespace

void fail_at(const std::string& path, const std::string& fact) {
  fail(ErrorKind::usage, "JSON schema, at {}: {}", printable(path, 512), fact);
}

std::string pointer_to(const std::string& path, std::string_view key) {
  std::string out = path + "/";
  for (const char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

bool is_annotation(std::string_view keyword) {
  static constexpr std::array<std::string_view, 17> names = {
      "title", "description", "default", "examples",    "example",       "deprecated",   "readOnly", "writeOnly", "$schema",
      "$id",   "$comment",    "$defs",   "definitions", "discriminator", "externalDocs", "xml",      "nullable"};
  return keyword != "nullable" && (keyword.starts_with("x-") || std::find(names.begin(), names.end(), keyword) != names.end());
}

std::string type_of(const SchemaJson& value) {
  if (value.is_null()) return "null";
  if (value.is_boolean()) return "boolean";
  if (value.is_object()) return "object";
  if (value.is_array()) return "array";
  if (value.is_string()) return "string";
  return value.is_number_integer() || std::trunc(value.get<double>()) == value.get<double>() ? "integer" : "number";
}

bool has_type(const SchemaJson& value, std::string_view type) {
  const std::string own = type_of(value);
  return own == type || (own == "integer" && type == "number");
}

const SchemaJson& SchemaCombiner::target(const std::string& reference, const std::string& path) const {
  if (!reference.starts_with("#"))
    fail_at(path, fmt::format("'$ref' to '{}': only places in the same schema (#/...) are supported", printable(reference)));
  if (reference.size() > 1 && reference[1] != '/')
    fail_at(path, fmt::format("'$ref' to '{}': anchors are not supported", printable(reference)));
  const SchemaJson* at = &root_;
  std::string_view rest = std::string_view(reference).substr(1);
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const std::string_view part = rest.substr(0, rest.find('/'));
    rest.remove_prefix(part.size());
    const std::string name = unescaped(part, path);
    const bool is_index = !name.empty() && name.size() < 6 && name.find_first_not_of("0123456789") == std::string::npos;
    if (at->is_object() && at->contains(name)) {
      at = &(*at)[name];
    } else if (at->is_array() && is_index && std::stoul(name) < at->size()) {
      at = &(*at)[std::stoul(name)];
    } else {
      fail_at(path, fmt::format("'$ref' to '{}': there is no such place", printable(reference)));
    }
  }
  return *at;
}

SchemaJson SchemaCombiner::combined(const SchemaJson& schema, const std::string& path, int depth) const {
  check_depth(depth, path);
  if (!schema.is_object() || (!schema.contains("$ref") && !schema.contains("allOf"))) return schema;
  SchemaJson all = schema;
  all.erase("$ref"), all.erase("allOf");
  if (schema.contains("$ref")) {
    if (!schema["$ref"].is_string()) fail_at(path, "'$ref' is no string");
    const auto reference = schema["$ref"].get<std::string>();
    all = merged(combined(target(reference, path), reference, depth + 1), all, path, depth + 1);
  }
  if (schema.contains("allOf")) {
    if (!schema["allOf"].is_array() || schema["allOf"].empty()) fail_at(path, "'allOf' is no list of schemas");
    for (std::size_t i = 0; i < schema["allOf"].size(); ++i) {
      const std::string place = pointer_to(pointer_to(path, "allOf"), std::to_string(i));
      all = merged(all, combined(schema["allOf"][i], place, depth + 1), place, depth + 1);
    }
  }
  return all;
}

SchemaJson SchemaCombiner::merged(const SchemaJson& a, const SchemaJson& b, const std::string& path, int depth) const {
  check_depth(depth, path);
  for (const SchemaJson* schema : {&a, &b}) {
    if (schema->is_boolean()) return schema->get<bool>() ? (schema == &a ? b : a) : *schema;
    if (!schema->is_object()) fail_at(path, "a schema is an object or a boolean");
  }
  if (a.contains("$ref") || a.contains("allOf")) return merged(combined(a, path, depth + 1), b, path, depth + 1);
  if (b.contains("$ref") || b.contains("allOf")) return merged(a, combined(b, path, depth + 1), path, depth + 1);
  SchemaJson out = a;
  // An alternative may hold either way; what stands beside it holds too, and is merged into each when it is written.
  for (const auto& [key, value] : b.items()) {
    if (key == "properties" || key == "additionalProperties") continue;
    if (!out.contains(key)) {
      out[key] = value;
    } else if (!is_annotation(key) && out[key] != value) {
      merge_keyword(out, key, value, path, depth);
    }
  }
  const bool nullable = a.value("nullable", false) && b.value("nullable", false);
  out.erase("nullable");
  if (nullable) out["nullable"] = true;
  merge_properties(out, a, b, path, depth);
  return out;
}

void SchemaCombiner::merge_keyword(SchemaJson& out, const std::string& key, const SchemaJson& value, const std::string& path,
                                   int depth) const {
  SchemaJson& own = out[key];
  if (key == "type") {
    const std::set<std::string> ours = type_names(own, path), theirs = type_names(value, path);
    SchemaJson both = SchemaJson::array();
    for (const std::string& type : all_types) {
      const auto holds = [&](const std::set<std::string>& types) {
        return types.contains(type) || (type == "integer" && types.contains("number"));
      };
      if (holds(ours) && holds(theirs) && !(type == "integer" && ours.contains("number") && theirs.contains("number")))
        both.push_back(type);
    }
    own = std::move(both);
  } else if (key == "required" && own.is_array() && value.is_array()) {
    for (const SchemaJson& name : value) {
      if (std::find(own.begin(), own.end(), name) == own.end()) own.push_back(name);
    }
  } else if (key == "enum" && own.is_array() && value.is_array()) {
    SchemaJson both = SchemaJson::array();
    for (const SchemaJson& one : own) {
      if (std::find(value.begin(), value.end(), one) != value.end()) both.push_back(one);
    }
    own = std::move(both);
  } else if (key == "const") {
    out["enum"] = SchemaJson::array();  // two different constants
  } else if (own.is_number() && value.is_number() && (key.starts_with("min") || key == "exclusiveMinimum")) {
    if (value.get<double>() > own.get<double>()) own = value;
  } else if (own.is_number() && value.is_number() && (key.starts_with("max") || key == "exclusiveMaximum")) {
    if (value.get<double>() < own.get<double>()) own = value;
  } else if (key == "items" || key == "additionalItems") {
    own = merged(own, value, pointer_to(path, key), depth + 1);
  } else if (key != "nullable") {
    fail_at(path, fmt::format("two different '{}' have to hold together, which is not supported", printable(key)));
  }
}

// A name that one side does not declare has to satisfy its additionalProperties.
void SchemaCombiner::merge_properties(SchemaJson& out, const SchemaJson& a, const SchemaJson& b, const std::string& path,
                                      int depth) const {
  const SchemaJson yes = true;
  const auto additional = [&](const SchemaJson& schema) -> const SchemaJson& {
    return schema.contains("additionalProperties") ? schema["additionalProperties"] : yes;
  };
  out.erase("properties"), out.erase("additionalProperties");
  SchemaJson properties = SchemaJson::object();
  const auto add = [&](const SchemaJson& from, const SchemaJson& other) {
    if (!from.contains("properties")) return;
    if (!from["properties"].is_object()) fail_at(path, "'properties' is no object");
    for (const auto& [name, schema] : from["properties"].items()) {
      if (properties.contains(name)) continue;
      const SchemaJson& theirs = declares(other, name) ? other["properties"][name] : additional(other);
      properties[name] = merged(schema, theirs, pointer_to(pointer_to(path, "properties"), name), depth + 1);
    }
  };
  add(a, b), add(b, a);
  if (a.contains("properties") || b.contains("properties")) out["properties"] = std::move(properties);
  if (a.contains("additionalProperties") || b.contains("additionalProperties"))
    out["additionalProperties"] = merged(additional(a), additional(b), pointer_to(path, "additionalProperties"), depth + 1);
}

std::set<std::string> SchemaCombiner::types_of(const SchemaJson& schema, const std::string& path, int depth) const {
  check_depth(depth, path);
  if (schema.is_boolean()) return schema.get<bool>() ? all_types : std::set<std::string>{};
  std::set<std::string> types = all_types;
  if (has_values(schema)) {
    types.clear();
    for (const SchemaJson& value : allowed_values(schema)) types.insert(type_of(value));
  } else if (schema.contains("type")) {
    types = type_names(schema["type"], path);
  }
  if (types.contains("number")) types.insert("integer");
  for (const char* key : {"anyOf", "oneOf"}) {
    if (!schema.contains(key) || !schema[key].is_array()) continue;
    std::set<std::string> any;
    for (const SchemaJson& one : schema[key]) any.merge(types_of(combined(one, path, depth + 1), path, depth + 1));
    std::erase_if(types, [&](const std::string& type) { return !any.contains(type); });
  }
  if (schema.value("nullable", false)) types.insert("null");
  return types;
}

bool SchemaCombiner::are_disjoint(const SchemaJson& first, const SchemaJson& second, const std::string& path, int depth) const {
  const SchemaJson a = combined(first, path, depth), b = combined(second, path, depth);
  std::set<std::string> types = types_of(a, path, depth);
  const std::set<std::string> others = types_of(b, path, depth);
  std::erase_if(types, [&](const std::string& type) { return !others.contains(type); });
  if (types.empty()) return true;
  if (has_values(a) && has_values(b)) {
    const std::vector<SchemaJson> theirs = allowed_values(b);
    const auto ours = allowed_values(a);
    return std::none_of(ours.begin(), ours.end(), [&](const SchemaJson& value) {
      return std::find(theirs.begin(), theirs.end(), value) != theirs.end();
    });
  }
  if (types != std::set<std::string>{"object"}) return false;
  const auto forbids = [](const SchemaJson& schema, const std::string& name) {
    return schema.contains("additionalProperties") && schema["additionalProperties"] == SchemaJson(false) &&
           !declares(schema, name);
  };
  for (const auto& [one, other] : {std::pair(&a, &b), std::pair(&b, &a)}) {
    if (!one->contains("required")) continue;
    for (const SchemaJson& name : (*one)["required"]) {
      if (!name.is_string()) continue;
      const auto key = name.get<std::string>();
      if (forbids(*other, key)) return true;
      if (requires_name(*other, key) && declares(*one, key) && declares(*other, key) &&
          are_disjoint((*one)["properties"][key], (*other)["properties"][key], path, depth + 1))
        return true;
    }
  }
  return false;
}

}  // namespace bitnet
