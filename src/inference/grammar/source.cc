// Keeps the expressions of a grammar that is being written, and says early when it grows past its limits.
#include "inference/grammar/source.h"

#include <algorithm>
#include <utility>

#include "common/error.h"

namespace bitnet {
namespace {

constexpr int deepest = GrammarLimits::depth * 8;  // a front end nests a few expressions for each level of its own
constexpr std::int64_t heaviest = std::int64_t{1} << 40;

}  // namespace

std::vector<CodeRange> normalised(std::vector<CodeRange> ranges) {
  std::vector<CodeRange> cut;
  for (const CodeRange& range : ranges) {
    const char32_t last = std::min<char32_t>(range.last, 0x10ffff);
    if (range.first <= std::min<char32_t>(last, 0xd7ff)) cut.push_back({range.first, std::min<char32_t>(last, 0xd7ff)});
    if (std::max<char32_t>(range.first, 0xe000) <= last) cut.push_back({std::max<char32_t>(range.first, 0xe000), last});
  }
  std::sort(cut.begin(), cut.end(), [](const CodeRange& a, const CodeRange& b) { return a.first < b.first; });
  std::vector<CodeRange> merged;
  for (const CodeRange& range : cut) {
    if (!merged.empty() && range.first <= merged.back().last + 1) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

std::vector<CodeRange> complement(const std::vector<CodeRange>& ranges) {
  std::vector<CodeRange> rest;
  char32_t next = 0;
  for (const CodeRange& range : ranges) {
    if (range.first > next) rest.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= 0x10ffff) rest.push_back({next, 0x10ffff});
  return normalised(std::move(rest));
}

ExpressionId GrammarSource::add(Expression expression) {
  for (const ExpressionId part : expression.parts) {
    expression.depth = std::max(expression.depth, (*this)[part].depth + 1);
    if (expression.kind != Kind::repeat) expression.weight += (*this)[part].weight;
  }
  expression.weight = std::min(expression.weight, heaviest);
  if (expression.depth > deepest) fail(ErrorKind::usage, "the grammar is nested deeper than {} levels", GrammarLimits::depth);
  if (static_cast<std::int64_t>(expressions_.size()) >= GrammarLimits::steps)
    fail(ErrorKind::usage, "the grammar has more than {} parts", GrammarLimits::steps);
  expressions_.push_back(std::move(expression));
  return static_cast<ExpressionId>(expressions_.size() - 1);
}

ExpressionId GrammarSource::text(std::string_view utf8) {
  Expression e{.kind = Kind::text, .text = std::string(utf8)};
  e.weight += static_cast<std::int64_t>(utf8.size());
  return add(std::move(e));
}

ExpressionId GrammarSource::characters(std::vector<CodeRange> ranges) {
  Expression e{.kind = Kind::characters, .ranges = normalised(std::move(ranges))};
  for (const CodeRange& range : e.ranges) e.weight += range.last < 0x80 ? 0 : 3;
  return add(std::move(e));
}

ExpressionId GrammarSource::sequence(std::vector<ExpressionId> parts) {
  if (parts.empty()) return empty();
  if (parts.size() == 1) return parts[0];
  return add({.kind = Kind::sequence, .parts = std::move(parts)});
}

ExpressionId GrammarSource::choice(std::vector<ExpressionId> parts) {
  if (parts.empty()) return never();
  if (parts.size() == 1) return parts[0];
  return add({.kind = Kind::choice, .parts = std::move(parts)});
}

ExpressionId GrammarSource::repeat(ExpressionId part, std::int64_t least, std::int64_t most) {
  const std::int64_t copies = std::max({least, most, std::int64_t{1}});
  Expression e{.kind = Kind::repeat, .parts = {part}, .least = least, .most = most};
  e.weight = std::min(heaviest, (*this)[part].weight) * copies + 1;
  return add(std::move(e));
}

ExpressionId GrammarSource::list(std::vector<ExpressionId> items, std::vector<bool> required, ExpressionId separator) {
  items.push_back(separator);
  Expression e{.kind = Kind::list, .parts = std::move(items), .required = std::move(required)};
  for (const ExpressionId item : e.parts) e.weight += (*this)[item].weight;  // each stands there twice
  return add(std::move(e));
}

ExpressionId GrammarSource::rule(RuleId rule) { return add({.kind = Kind::rule, .rule = rule}); }

RuleId GrammarSource::add_rule(std::string name) {
  if (rules_.size() >= GrammarLimits::rules) fail(ErrorKind::usage, "the grammar has more than {} rules", GrammarLimits::rules);
  rules_.push_back({std::move(name)});
  return static_cast<RuleId>(rules_.size() - 1);
}

}  // namespace bitnet
