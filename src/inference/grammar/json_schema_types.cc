// What a schema says of strings, numbers, arrays and objects.
#include <algorithm>
#include <array>
#include <utility>

#include "common/error.h"
#include "inference/grammar/regex.h"
#include "inference/grammar/schema_reader.h"

namespace bitnet {

std::optional<std::int64_t> SchemaReader::count(const SchemaJson& schema, const char* key, const std::string& path) {
  if (!schema.contains(key)) return std::nullopt;
  const SchemaJson& value = schema[key];
  if (!value.is_number() || type_of(value) != "integer" || value.get<double>() < 0)
    fail_at(path, fmt::format("'{}' is {}, it must be a whole number from 0 up", key, printable(value.dump())));
  const double number = value.get<double>();
  if (number <= static_cast<double>(GrammarLimits::repetition)) return static_cast<std::int64_t>(number);
  if (std::string_view(key).starts_with("max")) return GrammarLimits::repetition;
  fail_at(path, fmt::format("'{}' is {}, at most {} is supported", key, value.dump(), GrammarLimits::repetition));
}

ExpressionId SchemaReader::write_string(const SchemaJson& schema, const std::string& path) {
  const std::int64_t least = count(schema, "minLength", path).value_or(0), most = count(schema, "maxLength", path).value_or(-1);
  if (most >= 0 && least > most) return source_.never();
  const char* pattern = nullptr;
  std::string own;
  if (schema.contains("format")) {
    if (!schema["format"].is_string()) fail_at(path, "'format' is no string");
    const auto format = schema["format"].get<std::string>();
    pattern = format_pattern(format);
    if (pattern == nullptr) fail_at(path, fmt::format("'format' is '{}', which is not supported", printable(format)));
  }
  if (schema.contains("pattern")) {
    if (pattern != nullptr) fail_at(path, "'pattern' beside 'format' is not supported");
    if (!schema["pattern"].is_string()) fail_at(path, "'pattern' is no string");
    own = schema["pattern"].get<std::string>();
    pattern = own.c_str();
  }
  if (pattern == nullptr) {
    if (least == 0 && most < 0) return text_.string(0, -1);
    const auto [found, is_new] = strings_.try_emplace({least, most}, 0);
    if (is_new) found->second = as_rule(path, text_.string(least, most));
    return found->second;
  }
  const RegexUse use{[&](std::vector<CodeRange> ranges) { return text_.characters(std::move(ranges)); }, true,
                     fmt::format("JSON schema, at {}: 'pattern'", printable(path, 512))};
  const RegexExpression regex = write_regex(source_, pattern, use);
  if (regex.least < least || (most >= 0 && (regex.most < 0 || regex.most > most)))
    fail_at(path, "'minLength' or 'maxLength' beside a 'pattern' or 'format' of other lengths is not supported");
  return as_rule(path, text_.quoted(regex.id));
}

NumberBounds SchemaReader::bounds_of(const SchemaJson& schema, const std::string& path) {
  const auto decimal = [&](const char* key) -> std::optional<Decimal> {
    if (!schema.contains(key)) return std::nullopt;
    if (!schema[key].is_number()) fail_at(path, fmt::format("'{}' is no number", key));
    const std::optional<Decimal> found = decimal_of(schema[key]);
    if (!found) fail_at(path, fmt::format("'{}' is {}, which has too many decimals", key, schema[key].dump()));
    return found;
  };
  NumberBounds bounds{decimal("minimum"), decimal("maximum"), false, false};
  const auto value = [](const Decimal& d) {
    double power = 1;
    for (int i = 0; i < d.scale; ++i) power *= 10;
    return static_cast<double>(d.digits) / power;
  };
  for (const bool is_lower : {true, false}) {
    const char* key = is_lower ? "exclusiveMinimum" : "exclusiveMaximum";
    std::optional<Decimal>& bound = is_lower ? bounds.least : bounds.most;
    bool& open = is_lower ? bounds.least_open : bounds.most_open;
    if (!schema.contains(key)) continue;
    if (schema[key].is_boolean()) {  // draft 4 and OpenAPI 3.0
      open = schema[key].get<bool>() && bound;
      continue;
    }
    const std::optional<Decimal> given = decimal(key);
    const bool tighter = !bound || (is_lower ? value(*given) >= value(*bound) : value(*given) <= value(*bound));
    if (tighter) bound = given, open = true;
  }
  return bounds;
}

ExpressionId SchemaReader::write_number(bool whole, const SchemaJson& schema, const std::string& path) {
  NumberBounds bounds = bounds_of(schema, path);
  if (schema.contains("format")) {
    static constexpr std::array<std::string_view, 4> known = {"int32", "int64", "float", "double"};
    const SchemaJson& format = schema["format"];
    if (!format.is_string() || std::find(known.begin(), known.end(), format.get<std::string>()) == known.end())
      fail_at(path, fmt::format("'format' is {}, which is not supported for numbers", printable(format.dump())));
    if (format == "int32" && !bounds.least) bounds.least = Decimal{-2147483648LL, 0};
    if (format == "int32" && !bounds.most) bounds.most = Decimal{2147483647LL, 0};
  }
  if (whole) return as_rule(path, text_.integer(bounds));
  const std::optional<ExpressionId> number = text_.number(bounds);
  if (!number) fail_at(path, "bounds of a number beyond 10^14, or with more than 9 decimals, are not supported");
  return as_rule(path, *number);
}

ExpressionId SchemaReader::write_array(const SchemaJson& schema, const std::string& path, int depth) {
  const std::int64_t least = count(schema, "minItems", path).value_or(0), most = count(schema, "maxItems", path).value_or(-1);
  if (most >= 0 && least > most) return source_.never();
  const SchemaJson* items = schema.contains("items") ? &schema["items"] : nullptr;
  const SchemaJson* prefix = schema.contains("prefixItems") ? &schema["prefixItems"] : nullptr;
  std::string items_path = pointer_to(path, "items"), prefix_path = pointer_to(path, "prefixItems");
  if (items != nullptr && items->is_array()) {  // draft 7 and before
    prefix = items, prefix_path = items_path;
    items = schema.contains("additionalItems") ? &schema["additionalItems"] : nullptr;
    items_path = pointer_to(path, "additionalItems");
  }
  if (prefix != nullptr && !prefix->is_array()) fail_at(path, "'prefixItems' is no list of schemas");
  std::vector<ExpressionId> parts;
  const auto separate = [&] {
    if (!parts.empty()) parts.push_back(text_.comma());
  };
  std::int64_t first = 0;
  for (; prefix != nullptr && first < static_cast<std::int64_t>(prefix->size()) && first != most; ++first) {
    separate();
    const std::string place = pointer_to(prefix_path, std::to_string(first));
    parts.push_back(write((*prefix)[static_cast<std::size_t>(first)], place, depth + 1));
  }
  // Behind a prefix nothing more, unless the schema says what or how many.
  if (items != nullptr || first == 0 || least > first) {
    const ExpressionId item = items == nullptr ? text_.value() : write(*items, items_path, depth + 1);
    const std::int64_t more = std::max<std::int64_t>(0, least - first), up_to = most < 0 ? -1 : most - first;
    const ExpressionId next = sequence({text_.comma(), item});
    if (first > 0) {
      parts.push_back(source_.repeat(next, more, up_to));
    } else if (up_to != 0) {
      const ExpressionId some =
          sequence({item, source_.repeat(next, std::max<std::int64_t>(0, more - 1), up_to < 0 ? -1 : up_to - 1)});
      parts.push_back(more == 0 ? source_.optional(some) : some);
    }
  }
  return as_rule(
      path, sequence({source_.text("["), text_.blank(), source_.sequence(std::move(parts)), text_.blank(), source_.text("]")}));
}

Names SchemaReader::required_names(const SchemaJson& schema, const std::string& path) {
  Names names;
  if (!schema.contains("required")) return names;
  if (!schema["required"].is_array()) fail_at(path, "'required' is no list of names");
  for (const SchemaJson& name : schema["required"]) {
    if (!name.is_string()) fail_at(path, "'required' is no list of names");
    names.push_back(name.get<std::string>());
  }
  return names;
}

ExpressionId SchemaReader::property(const std::string& name, ExpressionId value) {
  return sequence({text_.literal(name), text_.colon(), value});
}

ExpressionId SchemaReader::write_object(const SchemaJson& schema, const std::string& path, int depth) {
  const Names required = required_names(schema, path);
  const SchemaJson declared = schema.contains("properties") ? schema["properties"] : SchemaJson::object();
  if (!declared.is_object()) fail_at(path, "'properties' is no object");
  const bool says_more = schema.contains("additionalProperties");
  const SchemaJson more = says_more ? schema["additionalProperties"] : SchemaJson(true);
  const std::string more_path = pointer_to(path, "additionalProperties");
  Names names;
  std::vector<ExpressionId> items;
  std::vector<bool> is_required;
  for (const auto& [name, value] : declared.items()) {
    const std::string place = pointer_to(pointer_to(path, "properties"), name);
    names.push_back(name);
    items.push_back(property(name, write(value, place, depth + 1)));
    is_required.push_back(std::find(required.begin(), required.end(), name) != required.end());
  }
  for (const std::string& name : required) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    names.push_back(name);
    items.push_back(property(name, write(more, more_path, depth + 1)));
    is_required.push_back(true);
  }
  check_property_counts(schema, path, names.size(),
                        static_cast<std::size_t>(std::count(is_required.begin(), is_required.end(), true)),
                        says_more ? more != SchemaJson(false) : names.empty());
  // What the schema does not name is left out unless it speaks of it, or names nothing at all.
  if (says_more ? more != SchemaJson(false) : names.empty()) {
    const ExpressionId key = names.empty() ? text_.string(0, -1) : text_.string_except(names);
    const ExpressionId pair = sequence({key, text_.colon(), write(more, more_path, depth + 1)});
    items.push_back(sequence({pair, source_.repeat(sequence({text_.comma(), pair}), 0, -1)}));
    is_required.push_back(false);
  }
  const ExpressionId list = source_.list(std::move(items), std::move(is_required), text_.comma());
  return as_rule(path, sequence({source_.text("{"), text_.blank(), list, text_.blank(), source_.text("}")}));
}

void SchemaReader::check_property_counts(const SchemaJson& schema, const std::string& path, std::size_t declared,
                                         std::size_t required, bool open) {
  const std::optional<std::int64_t> least = count(schema, "minProperties", path), most = count(schema, "maxProperties", path);
  if (least && *least > static_cast<std::int64_t>(required))
    fail_at(path, "'minProperties' beyond the number of required properties is not supported");
  if (most && (open || *most < static_cast<std::int64_t>(declared)))
    fail_at(path, "'maxProperties' below the number of possible properties is not supported");
}

}  // namespace bitnet
