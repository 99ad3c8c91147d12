// SchemaReader: a JSON Schema on its way into a grammar, place by place.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "inference/grammar/grammar.h"
#include "inference/grammar/json_schema.h"
#include "inference/grammar/json_text.h"

namespace bitnet {

using Names = std::vector<std::string>;

// Writes a schema into a source that may hold other things; keeps references to both. All of it throws Error{usage} naming the
// place and what is wrong or not supported there. `depth` counts the schemas around, up to GrammarLimits::depth.
class SchemaReader {
 public:
  SchemaReader(const SchemaJson& root, GrammarSource& source) : combiner_(root), source_(source), text_(source), root_(root) {}

  // A rule that stands for the whole schema. Once.
  RuleId read();

 private:
  // A place that is referred to and not written yet.
  struct Waiting {
    RuleId rule;
    std::string place;
    const SchemaJson* schema;
  };

  // Places are written once, so a schema may refer to itself.
  RuleId rule_at(const std::string& place, const SchemaJson& schema);

  // A rule of its own for what stands at `place` once.
  ExpressionId as_rule(const std::string& place, ExpressionId body);
  ExpressionId write(const SchemaJson& schema, const std::string& path, int depth);

  // The value of `keyword` when nothing but annotations stands beside it.
  static const SchemaJson* only_part(const SchemaJson& schema, const char* keyword);
  void check_keywords(const SchemaJson& schema, const std::string& path);
  ExpressionId write_alternatives(const SchemaJson& schema, const std::string& path, int depth);
  ExpressionId write_values(const SchemaJson& schema, const std::string& path);

  static Names types_in(const SchemaJson& type, const std::string& path);

  // Without 'type' those that the keywords speak of; without such keywords any value.
  ExpressionId write_types(const SchemaJson& schema, const std::string& path, int depth);
  ExpressionId write_type(const std::string& type, const SchemaJson& schema, const std::string& path, int depth);

  // A count from 0 up; nullopt when it is not there. Upper ones over the limit are cut to it, which only leaves texts out.
  static std::optional<std::int64_t> count(const SchemaJson& schema, const char* key, const std::string& path);
  ExpressionId write_string(const SchemaJson& schema, const std::string& path);
  static NumberBounds bounds_of(const SchemaJson& schema, const std::string& path);
  ExpressionId write_number(bool whole, const SchemaJson& schema, const std::string& path);
  ExpressionId write_array(const SchemaJson& schema, const std::string& path, int depth);
  Names required_names(const SchemaJson& schema, const std::string& path);
  ExpressionId property(const std::string& name, ExpressionId value);
  ExpressionId write_object(const SchemaJson& schema, const std::string& path, int depth);

  // Counts of properties hold by themselves, or are not supported.
  static void check_property_counts(const SchemaJson& schema, const std::string& path, std::size_t declared,
                                    std::size_t required, bool open);

  ExpressionId sequence(std::vector<ExpressionId> parts) { return source_.sequence(std::move(parts)); }

  SchemaCombiner combiner_;
  GrammarSource& source_;
  JsonText text_;
  const SchemaJson& root_;
  std::map<std::string, RuleId> rules_;  // by their place
  std::vector<Waiting> waiting_;
  std::map<std::pair<std::int64_t, std::int64_t>, ExpressionId> strings_;
};

// The rule of a schema of bounded size within `source`. Throws Error{usage} as SchemaReader does.
RuleId write_json_schema(GrammarSource& source, const SchemaJson& schema);

}  // namespace bitnet
