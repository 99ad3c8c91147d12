// Reads GBNF, the grammar notation of llama.cpp (its grammars/README.md is the reference).
#include <map>
#include <utility>

#include "common/utf8.h"
#include "inference/grammar/grammar.h"
#include "inference/grammar/pattern_reader.h"

namespace bitnet {
namespace {

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

class GbnfReader {
 public:
  explicit GbnfReader(std::string_view text) : in_(text, "grammar") {}

  std::shared_ptr<const Grammar> read() {
    for (skip_blanks(true); !in_.at_end(); skip_blanks(true)) read_rule();
    const auto root = rules_.find("root");
    if (root == rules_.end()) in_.fail("there is no rule 'root'");
    return Grammar::compile(source_, root->second);
  }

 private:
  void skip_blanks(bool over_lines) {
    while (true) {
      if (in_.peek() == '#') {
        while (!in_.at_end() && in_.peek() != '\n' && in_.peek() != '\r') in_.next();
      } else if (!in_.take(" ") && !in_.take("\t") && !(over_lines && (in_.take("\n") || in_.take("\r")))) {
        return;
      }
    }
  }

  std::string read_name() {
    const std::size_t start = in_.place();
    while (is_name(in_.peek())) in_.next();
    return std::string(in_.text_from(start));
  }

  RuleId rule_of(const std::string& name) {
    const auto [found, is_new] = rules_.try_emplace(name, 0);
    if (is_new) found->second = source_.add_rule(name);
    return found->second;
  }

  void read_rule() {
    const std::string name = read_name();
    if (name.empty()) in_.fail("a rule's name is expected");
    skip_blanks(false);
    if (!in_.take("::=")) in_.fail("'::=' is expected behind the name '{}'", name);
    const RuleId rule = rule_of(name);
    if (source_.rules()[static_cast<std::size_t>(rule)].body >= 0) in_.fail("rule '{}' is defined twice", name);
    skip_blanks(true);
    source_.define(rule, read_choice(0));
    skip_blanks(false);
    if (!in_.at_end() && in_.peek() != '\n' && in_.peek() != '\r') in_.fail("the end of rule '{}' is expected", name);
  }

  // Alternatives up to what cannot belong to them; `depth` counts the groups around. Within groups lines may end anywhere.
  ExpressionId read_choice(int depth) {
    std::vector<ExpressionId> alternatives = {read_sequence(depth)};
    while (true) {
      skip_blanks(depth > 0);
      if (!in_.take("|")) break;
      skip_blanks(true);
      alternatives.push_back(read_sequence(depth));
    }
    return source_.choice(std::move(alternatives));
  }

  ExpressionId read_sequence(int depth) {
    std::vector<ExpressionId> parts;
    while (const std::optional<ExpressionId> part = read_part(depth)) {
      parts.push_back(read_repeats(*part, depth));
      skip_blanks(depth > 0);
    }
    return source_.sequence(std::move(parts));
  }

  std::optional<ExpressionId> read_part(int depth) {
    if (is_name(in_.peek())) return source_.rule(rule_of(read_name()));
    if (in_.take("\"")) return source_.text(read_literal());
    if (in_.take("[")) return source_.characters(read_class());
    if (in_.take(".")) return source_.characters({{0, 0x10ffff}});
    if (in_.take("(")) {
      if (depth == GrammarLimits::depth) in_.fail("groups are nested deeper than {}", GrammarLimits::depth);
      skip_blanks(true);
      const ExpressionId inner = read_choice(depth + 1);
      if (!in_.take(")")) in_.fail("')' is expected");
      return inner;
    }
    if (in_.peek() == '<' || in_.peek() == '!') in_.fail("tokens by name or number are not supported: write their text");
    return std::nullopt;
  }

  ExpressionId read_repeats(ExpressionId part, int depth) {
    while (true) {
      skip_blanks(depth > 0);
      if (in_.take("*")) {
        part = source_.repeat(part, 0, -1);
      } else if (in_.take("+")) {
        part = source_.repeat(part, 1, -1);
      } else if (in_.take("?")) {
        part = source_.optional(part);
      } else if (in_.peek() == '{') {
        const PatternReader::Bounds bounds = in_.bounds();
        part = source_.repeat(part, bounds.least, bounds.most);
      } else {
        return part;
      }
    }
  }

  char32_t read_character() {
    if (in_.at_end()) in_.fail("the grammar ends within quotes or brackets");
    if (!in_.take("\\")) return in_.next();
    if (in_.take("x")) return in_.hex(2);
    if (in_.take("u")) return in_.hex(4);
    if (in_.take("U")) return in_.hex(8);
    if (in_.take("t")) return '\t';
    if (in_.take("r")) return '\r';
    if (in_.take("n")) return '\n';
    for (const char* same : {"\\", "\"", "[", "]", "-", "^"}) {
      if (in_.take(same)) return static_cast<char32_t>(same[0]);
    }
    in_.fail("unknown escape; known are \\x \\u \\U \\t \\r \\n \\\\ \\\" \\[ \\] \\- \\^");
  }

  std::string read_literal() {
    std::string text;
    while (!in_.take("\"")) utf8_append(text, read_character());
    return text;
  }

  std::vector<CodeRange> read_class() {
    const bool negated = in_.take("^");
    std::vector<CodeRange> ranges;
    while (!in_.take("]")) {
      const char32_t first = read_character();
      char32_t last = first;
      if (in_.peek() == '-' && in_.peek(1) != ']') {
        in_.take("-");
        last = read_character();
        if (last < first) in_.fail("a range of characters runs backwards");
      }
      ranges.push_back({first, last});
    }
    return negated ? complement(normalised(std::move(ranges))) : ranges;
  }

  PatternReader in_;
  GrammarSource source_;
  std::map<std::string, RuleId> rules_;
};

}  // namespace

std::shared_ptr<const Grammar> grammar_from_gbnf(std::string_view text) { return GbnfReader(text).read(); }

}  // namespace bitnet
