// Strings, blanks and arbitrary values of JSON (RFC 8259) as parts of a grammar.
#include "inference/grammar/json_text.h"

#include <algorithm>
#include <utility>

#include "common/utf8.h"

namespace bitnet {
namespace {

constexpr std::int64_t deepest_indent = 20;

const std::vector<CodeRange> hex = {{'0', '9'}, {'A', 'F'}, {'a', 'f'}};

}  // namespace

ExpressionId JsonText::blank() {
  if (!blank_) {
    const RuleId rule = source_.add_rule("a blank");
    const ExpressionId line = sequence({source_.text("\n"), source_.repeat(source_.text(" "), 0, deepest_indent)});
    source_.define(rule, source_.choice({source_.text(" "), line}));
    blank_ = source_.rule(rule);
  }
  return source_.optional(*blank_);
}

ExpressionId JsonText::colon() { return sequence({source_.text(":"), source_.optional(source_.text(" "))}); }
ExpressionId JsonText::comma() { return sequence({source_.text(","), blank()}); }

ExpressionId JsonText::characters(std::vector<CodeRange> ranges) {
  ranges = normalised(std::move(ranges));
  std::vector<ExpressionId> parts;
  std::vector<CodeRange> plain;
  for (const CodeRange& range : ranges) {
    for (char32_t code = range.first; code <= std::min<char32_t>(range.last, 0x1f); ++code) {
      const std::string written = nlohmann::json(std::string(1, static_cast<char>(code))).dump();
      parts.push_back(source_.text(written.substr(1, written.size() - 2)));
    }
    for (const char32_t code : {U'"', U'\\'}) {
      if (range.first <= code && code <= range.last) parts.push_back(source_.text(code == '"' ? "\\\"" : "\\\\"));
    }
    for (const CodeRange& allowed : {CodeRange{0x20, 0x21}, CodeRange{0x23, 0x5b}, CodeRange{0x5d, 0x10ffff}}) {
      const CodeRange both{std::max(range.first, allowed.first), std::min(range.last, allowed.last)};
      if (both.first <= both.last) plain.push_back(both);
    }
  }
  if (!plain.empty()) parts.push_back(source_.characters(std::move(plain)));
  return source_.choice(std::move(parts));
}

ExpressionId JsonText::any_character() {
  const auto digit = [&] { return source_.characters(hex); };
  const ExpressionId below =
      sequence({source_.characters({{'0', '9'}, {'A', 'C'}, {'a', 'c'}, {'E', 'F'}, {'e', 'f'}}), digit()});
  const ExpressionId d = source_.characters({{'D', 'D'}, {'d', 'd'}});
  const ExpressionId low_d = sequence({d, source_.characters({{'0', '7'}})});
  const ExpressionId high = sequence({d, source_.characters({{'8', '9'}, {'A', 'B'}, {'a', 'b'}}), digit(), digit(),
                                      source_.text("\\u"), d, source_.characters({{'C', 'F'}, {'c', 'f'}}), digit(), digit()});
  const ExpressionId single = sequence({source_.choice({below, low_d}), digit(), digit()});
  const ExpressionId escape = source_.choice(
      {source_.characters({{'"', '"'}, {'\\', '\\'}, {'/', '/'}, {'b', 'b'}, {'f', 'f'}, {'n', 'n'}, {'r', 'r'}, {'t', 't'}}),
       sequence({source_.text("u"), source_.choice({single, high})})});
  return source_.choice(
      {source_.characters({{0x20, 0x21}, {0x23, 0x5b}, {0x5d, 0x10ffff}}), sequence({source_.text("\\"), escape})});
}

ExpressionId JsonText::quoted(ExpressionId characters) {
  return sequence({source_.text("\""), characters, source_.text("\"")});
}

ExpressionId JsonText::string(std::int64_t least, std::int64_t most) {
  if (least > 0 || most >= 0) {
    // Short escapes only: a counted character has few forms.
    const ExpressionId plain = source_.characters({{0x20, 0x21}, {0x23, 0x5b}, {0x5d, 0x10ffff}});
    const ExpressionId escaped =
        sequence({source_.text("\\"), source_.characters({{'"', '"'}, {'\\', '\\'}, {'n', 'n'}, {'t', 't'}})});
    return quoted(source_.repeat(source_.choice({plain, escaped}), least, most));
  }
  if (!string_) {
    const RuleId rule = source_.add_rule("a string");
    source_.define(rule, quoted(source_.repeat(any_character(), 0, -1)));
    string_ = source_.rule(rule);
  }
  return *string_;
}

// A walk along the names' common tree: leave it anywhere, or stop in it where no name ends.
ExpressionId JsonText::string_except(std::vector<std::string> names) {
  std::vector<std::u32string> codes;
  for (const std::string& name : names) {
    std::u32string& code = codes.emplace_back();
    for (std::string_view rest = name; !rest.empty(); rest.remove_prefix(utf8_decode(rest).size))
      code += utf8_decode(rest).code;
  }
  std::sort(codes.begin(), codes.end());
  codes.erase(std::unique(codes.begin(), codes.end()), codes.end());
  const RuleId rest_rule = source_.add_rule("the rest of a name");
  source_.define(rest_rule, source_.repeat(characters({{0, 0x10ffff}}), 0, -1));
  const ExpressionId rest = source_.rule(rest_rule);
  // Rules of nodes stand for the tree, which may be as deep as a name is long.
  struct Node {
    std::size_t begin, end, depth;
    RuleId rule;
  };
  std::vector<Node> open = {{0, codes.size(), 0, source_.add_rule("a name that is not declared")}};
  const RuleId top = open[0].rule;
  while (!open.empty()) {
    const Node node = open.back();
    open.pop_back();
    std::vector<ExpressionId> ways;
    std::vector<CodeRange> taken;
    std::size_t at = node.begin;
    if (at < node.end && codes[at].size() == node.depth) {
      ++at;
    } else {
      ways.push_back(source_.empty());
    }
    while (at < node.end) {
      const char32_t code = codes[at][node.depth];
      std::size_t end = at;
      while (end < node.end && codes[end][node.depth] == code) ++end;
      const RuleId below = source_.add_rule("a name that is not declared");
      open.push_back({at, end, node.depth + 1, below});
      ways.push_back(sequence({characters({{code, code}}), source_.rule(below)}));
      taken.push_back({code, code});
      at = end;
    }
    ways.push_back(sequence({characters(complement(normalised(std::move(taken)))), rest}));
    source_.define(node.rule, source_.choice(std::move(ways)));
  }
  return quoted(source_.rule(top));
}

ExpressionId JsonText::literal(const nlohmann::ordered_json& value) { return source_.text(value.dump()); }

void JsonText::make_values() {
  const RuleId value = source_.add_rule("a value"), object = source_.add_rule("an object"),
               array = source_.add_rule("an array");
  value_ = source_.rule(value), object_ = source_.rule(object), array_ = source_.rule(array);
  const RuleId number = source_.add_rule("a number");
  source_.define(number, *this->number({}));
  const ExpressionId string = this->string(0, -1);
  source_.define(value, source_.choice({*object_, *array_, string, source_.rule(number), source_.text("true"),
                                        source_.text("false"), source_.text("null")}));
  const auto listed = [&](const char* begin, ExpressionId item, const char* end) {
    const ExpressionId items = sequence({item, source_.repeat(sequence({comma(), item}), 0, -1)});
    return sequence({source_.text(begin), blank(), source_.optional(sequence({items, blank()})), source_.text(end)});
  };
  source_.define(object, listed("{", sequence({string, colon(), *value_}), "}"));
  source_.define(array, listed("[", *value_, "]"));
}

ExpressionId JsonText::value() {
  if (!value_) make_values();
  return *value_;
}

ExpressionId JsonText::object() {
  if (!object_) make_values();
  return *object_;
}

ExpressionId JsonText::array() {
  if (!array_) make_values();
  return *array_;
}

}  // namespace bitnet
