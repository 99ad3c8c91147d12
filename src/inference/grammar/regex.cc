// Reads regular expressions of the subset that is a regular language.
#include "inference/grammar/regex.h"

#include <algorithm>
#include <utility>

#include "inference/grammar/grammar.h"
#include "inference/grammar/pattern_reader.h"

namespace bitnet {
namespace {

std::int64_t add_lengths(std::int64_t a, std::int64_t b) {
  return a < 0 || b < 0 ? -1 : std::min(a + b, std::int64_t{1} << 40);
}

class RegexReader {
 public:
  RegexReader(GrammarSource& source, std::string_view pattern, const RegexUse& use)
      : source_(source), use_(use), in_(pattern, use.what) {}

  RegexExpression read() {
    const RegexExpression all = read_choice(0);
    if (in_.peek() == ')') in_.fail("')' closes no group");
    return all;
  }

 private:
  using Part = RegexExpression;

  Part any_text() { return {source_.repeat(use_.characters({{0, 0x10ffff}}), 0, -1), 0, -1}; }

  Part joined(const std::vector<Part>& parts) {
    Part all{0, 0, 0};
    std::vector<ExpressionId> ids;
    for (const Part& part : parts) {
      ids.push_back(part.id);
      all.least = add_lengths(all.least, part.least), all.most = add_lengths(all.most, part.most);
    }
    all.id = source_.sequence(std::move(ids));
    return all;
  }

  Part read_choice(int depth) {
    std::vector<ExpressionId> ids;
    Part all{0, -1, 0};
    do {
      const Part part = depth == 0 ? read_anchored() : read_sequence(depth);
      ids.push_back(part.id);
      all.least = all.least < 0 ? part.least : std::min(all.least, part.least);
      all.most = all.most < 0 || part.most < 0 ? -1 : std::max(all.most, part.most);
    } while (in_.take("|"));
    all.id = source_.choice(std::move(ids));
    return all;
  }

  // One alternative outside of all groups.
  Part read_anchored() {
    const bool from_start = in_.take("^");
    Part part = read_sequence(0);
    const bool to_end = in_.take("$");
    if (to_end && !in_.at_end() && in_.peek() != '|') in_.fail("'$' is supported at the end of an alternative only");
    if (!use_.search) return part;
    std::vector<Part> parts;
    if (!from_start) parts.push_back(any_text());
    parts.push_back(part);
    if (!to_end) parts.push_back(any_text());
    return joined(parts);
  }

  Part read_sequence(int depth) {
    std::vector<Part> parts;
    while (!in_.at_end() && in_.peek() != '|' && in_.peek() != ')' && !(depth == 0 && in_.peek() == '$'))
      parts.push_back(read_repeated(depth));
    return joined(parts);
  }

  Part read_repeated(int depth) {
    const Part part = read_atom(depth);
    PatternReader::Bounds bounds{1, 1};
    if (in_.take("*")) {
      bounds = {0, -1};
    } else if (in_.take("+")) {
      bounds = {1, -1};
    } else if (in_.take("?")) {
      bounds = {0, 1};
    } else if (in_.peek() == '{') {
      bounds = in_.bounds();
    } else {
      return part;
    }
    if (in_.peek() == '+') in_.fail("possessive repetition is not supported");
    in_.take("?");
    if (in_.peek() == '*' || in_.peek() == '?' || in_.peek() == '{') in_.fail("a repetition of a repetition needs a group");
    const bool endless = part.most < 0 || (bounds.most < 0 && part.most > 0);
    return {source_.repeat(part.id, bounds.least, bounds.most), std::min(part.least * bounds.least, std::int64_t{1} << 40),
            bounds.most == 0 ? 0 : (endless ? -1 : part.most * std::max(bounds.most, std::int64_t{0}))};
  }

  Part character(std::vector<CodeRange> ranges) { return {use_.characters(normalised(std::move(ranges))), 1, 1}; }

  Part read_atom(int depth) {
    if (in_.take("(")) return read_group(depth);
    if (in_.take("[")) return character(read_class());
    if (in_.take(".")) return character(complement({{'\n', '\n'}, {'\r', '\r'}}));
    if (in_.peek() == '\\') return character(read_escape(false));
    switch (in_.peek()) {
      case '^':
      case '$':
        in_.fail("'{}' is supported at the ends of the pattern and of its outermost alternatives only", in_.peek());
      case '*':
      case '+':
      case '?':
      case '{':
        in_.fail("'{}' repeats nothing; for the character itself write \\{}", in_.peek(), in_.peek());
      default:
        break;
    }
    const char32_t code = in_.next();
    return character({{code, code}});
  }

  Part read_group(int depth) {
    if (depth == GrammarLimits::depth) in_.fail("groups are nested deeper than {}", GrammarLimits::depth);
    if (in_.take("?")) {
      if (in_.starts_with("=") || in_.starts_with("!")) in_.fail("lookahead is not supported");
      if (in_.starts_with("<=") || in_.starts_with("<!")) in_.fail("lookbehind is not supported");
      if (in_.take("P<") || in_.take("<")) {
        while (!in_.at_end() && in_.peek() != '>') in_.next();
        if (!in_.take(">")) in_.fail("the group's name has no end");
      } else if (!in_.take(":")) {
        in_.fail("groups with flags or conditions are not supported");
      }
    }
    const Part inner = read_choice(depth + 1);
    if (!in_.take(")")) in_.fail("')' is expected");
    return inner;
  }

  // At the backslash.
  std::vector<CodeRange> read_escape(bool in_class) {
    in_.take("\\");
    if (in_.at_end()) in_.fail("the pattern ends with a backslash");
    static const std::vector<CodeRange> digits = {{'0', '9'}};
    static const std::vector<CodeRange> word = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    static const std::vector<CodeRange> space = {{'\t', '\r'}, {' ', ' '}};
    static const std::vector<CodeRange> all_space = {{'\t', '\r'},     {0x1c, ' '},      {0x85, 0x85},     {0xa0, 0xa0},
                                                     {0x1680, 0x1680}, {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f},
                                                     {0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff}};
    const char c = in_.peek();
    switch (c) {
      case 'd':
        return in_.take("d"), digits;
      case 'D':
        return in_.take("D"), complement(digits);
      case 'w':
        return in_.take("w"), word;
      case 'W':
        return in_.take("W"), complement(word);
      case 's':
        return in_.take("s"), space;
      case 'S':
        return in_.take("S"), complement(all_space);
      default:
        break;
    }
    const char32_t code = read_character_escape(in_class);
    return {{code, code}};
  }

  char32_t read_character_escape(bool in_class) {
    if (in_.take("t")) return '\t';
    if (in_.take("n")) return '\n';
    if (in_.take("r")) return '\r';
    if (in_.take("f")) return '\f';
    if (in_.take("v")) return '\v';
    if (in_.take("x")) return in_.hex(2);
    if (in_.take("u")) return in_.hex(4);
    const char c = in_.peek();
    if (c >= '1' && c <= '9') in_.fail("backreferences are not supported");
    if (in_class && c == 'b') in_.fail("\\b is not supported in a class");
    if (c == 'b' || c == 'B') in_.fail("word boundaries (\\{}) are not supported", c);
    if (c == 'p' || c == 'P') in_.fail("Unicode properties (\\{}) are not supported", c);
    if (c == 'k') in_.fail("backreferences are not supported");
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '0') in_.fail("the escape \\{} is not supported", c);
    return in_.next();
  }

  // Behind the bracket.
  std::vector<CodeRange> read_class() {
    const bool negated = in_.take("^");
    if (in_.peek() == ']') in_.fail("a class is empty; for the bracket itself write \\]");
    std::vector<CodeRange> ranges;
    while (!in_.take("]")) {
      if (in_.at_end()) in_.fail("']' is expected");
      if (in_.starts_with("[:")) in_.fail("POSIX classes are not supported");
      const std::vector<CodeRange> first = read_class_item();
      const bool is_range = in_.peek() == '-' && in_.peek(1) != ']' && is_one(first);
      if (!is_range) {
        ranges.insert(ranges.end(), first.begin(), first.end());
        continue;
      }
      in_.take("-");
      const std::vector<CodeRange> last = read_class_item();
      if (!is_one(last) || last[0].first < first[0].first) in_.fail("a range of characters has no end or runs backwards");
      ranges.push_back({first[0].first, last[0].first});
    }
    return negated ? complement(normalised(std::move(ranges))) : ranges;
  }

  static bool is_one(const std::vector<CodeRange>& ranges) { return ranges.size() == 1 && ranges[0].first == ranges[0].last; }

  std::vector<CodeRange> read_class_item() {
    if (in_.at_end()) in_.fail("']' is expected");
    if (in_.peek() == '\\') return read_escape(true);
    const char32_t code = in_.next();
    return {{code, code}};
  }

  GrammarSource& source_;
  const RegexUse& use_;
  PatternReader in_;
};

}  // namespace

RegexExpression write_regex(GrammarSource& source, std::string_view pattern, const RegexUse& use) {
  return RegexReader(source, pattern, use).read();
}

std::shared_ptr<const Grammar> grammar_from_regex(std::string_view pattern) {
  GrammarSource source;
  const RuleId root = source.add_rule("the regex");
  const RegexUse use{[&](std::vector<CodeRange> ranges) { return source.characters(std::move(ranges)); }, false, "regex"};
  source.define(root, write_regex(source, pattern, use).id);
  return Grammar::compile(source, root);
}

}  // namespace bitnet
