// SchemaView: what a JSON Schema says at one place, with references followed and combined schemas merged.
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "inference/grammar/source.h"

namespace bitnet {

using SchemaJson = nlohmann::ordered_json;

// Throws Error{usage} as "JSON schema, at PATH: FACT".
[[noreturn]] void fail_at(const std::string& path, const std::string& fact);

// "#/a/b" and a key: "#/a/b/key", escaped as JSON Pointer wants.
std::string pointer_to(const std::string& path, std::string_view key);

// The regex that a string format stands for; null for a format that is not supported.
const char* format_pattern(std::string_view format);

// Keeps a reference to the whole schema.
class SchemaCombiner {
 public:
  explicit SchemaCombiner(const SchemaJson& root) : root_(root) {}

  // Where a local reference leads. Throws Error{usage} for a remote one and one that leads nowhere.
  const SchemaJson& target(const std::string& reference, const std::string& path) const;

  // The schema without $ref and allOf, which are merged into the rest.
  SchemaJson combined(const SchemaJson& schema, const std::string& path, int depth) const;

  // What satisfies both. Throws Error{usage} naming the keyword that cannot be merged.
  SchemaJson merged(const SchemaJson& a, const SchemaJson& b, const std::string& path, int depth) const;

  // Whether nothing satisfies both, as far as types, constants, and properties that tell apart show.
  bool are_disjoint(const SchemaJson& a, const SchemaJson& b, const std::string& path, int depth) const;

 private:
  void merge_keyword(SchemaJson& out, const std::string& key, const SchemaJson& value, const std::string& path,
                     int depth) const;
  void merge_properties(SchemaJson& out, const SchemaJson& a, const SchemaJson& b, const std::string& path, int depth) const;
  std::set<std::string> types_of(const SchemaJson& schema, const std::string& path, int depth) const;

  const SchemaJson& root_;
};

// Says nothing about which values are valid.
bool is_annotation(std::string_view keyword);
// "null", "boolean", "object", "array", "string", "integer" (1.0 included) or "number".
std::string type_of(const SchemaJson& value);
bool has_type(const SchemaJson& value, std::string_view type);

}  // namespace bitnet
