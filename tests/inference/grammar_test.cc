// Grammars: the matcher against brute force, GBNF and regexes against an independent matcher, and what is refused.
#include "inference/grammar/grammar.h"

#include <gmock/gmock.h>

#include <chrono>
#include <map>
#include <random>
#include <set>

#include "support/grammar_samples.h"

namespace bitnet {
namespace {

using test::begins;
using test::matches;
using test::refusal;
using testing::HasSubstr;

// A grammar over the letters a and b, as a tree: written as GBNF or as a regex, and matched by looking at all ways.
struct Tree {
  enum class Kind { letter, any, sequence, choice, repeat, rule } kind = Kind::letter;
  char letter = 'a';
  std::vector<Tree> parts = {};
  int least = 0, most = 0, rule = 0;  // most < 0: without end
};

class RandomTrees {
 public:
  explicit RandomTrees(unsigned seed) : random_(seed) {}

  // Rule `own` of `count`; calls of itself and of rules before it stand behind a letter.
  Tree rule(int own, int count) {
    Tree choice{.kind = Tree::Kind::choice};
    for (int i = 0, n = 1 + below(3); i < n; ++i) {
      Tree way{.kind = Tree::Kind::sequence};
      const bool recursive = below(2) == 0;
      way.parts.push_back(recursive ? Tree{.letter = letter()} : expression(2, own + 1, count));
      for (int j = 0, m = below(3); j < m; ++j) way.parts.push_back(expression(2, recursive ? 0 : own + 1, count));
      choice.parts.push_back(way);
    }
    return choice;
  }

  Tree expression(int depth, int first_rule, int rules) {
    switch (depth == 0 ? below(2) : below(6)) {
      case 0:
        return {.letter = letter()};
      case 1:
        return first_rule < rules && below(2) == 0
                   ? Tree{.kind = Tree::Kind::rule, .rule = first_rule + below(rules - first_rule)}
                   : Tree{.kind = Tree::Kind::any};
      case 2:
      case 3: {
        Tree tree{.kind = below(2) == 0 ? Tree::Kind::sequence : Tree::Kind::choice};
        for (int i = 0, n = 1 + below(3); i < n; ++i) tree.parts.push_back(expression(depth - 1, first_rule, rules));
        return tree;
      }
      default: {
        const int least = below(3), most = below(3) == 0 ? -1 : least + below(3);
        return {.kind = Tree::Kind::repeat, .parts = {expression(depth - 1, first_rule, rules)}, .least = least, .most = most};
      }
    }
  }

  int below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

 private:
  char letter() { return below(2) == 0 ? 'a' : 'b'; }
  std::mt19937 random_;
};

std::string bounds_text(const Tree& tree) {
  if (tree.most < 0) return tree.least == 0 ? "*" : tree.least == 1 ? "+" : "{" + std::to_string(tree.least) + ",}";
  if (tree.least == 0 && tree.most == 1) return "?";
  return "{" + std::to_string(tree.least) + "," + std::to_string(tree.most) + "}";
}

std::string written(const Tree& tree, bool gbnf) {
  const std::string open = gbnf ? "(" : "(?:", space = gbnf ? " " : "";
  std::string out;
  switch (tree.kind) {
    case Tree::Kind::letter:
      return gbnf ? std::string("\"") + tree.letter + "\"" : std::string(1, tree.letter);
    case Tree::Kind::any:
      return "[ab]";
    case Tree::Kind::rule:
      return "r" + std::to_string(tree.rule);
    case Tree::Kind::repeat:
      return open + written(tree.parts[0], gbnf) + ")" + bounds_text(tree);
    default:
      break;
  }
  for (std::size_t i = 0; i < tree.parts.size(); ++i)
    out += (i == 0 ? "" : tree.kind == Tree::Kind::choice ? space + "|" + space : space) + written(tree.parts[i], gbnf);
  return open + out + ")";
}

class TreeMatcher {
 public:
  TreeMatcher(const std::vector<Tree>& rules, std::string text) : rules_(rules), text_(std::move(text)) {}
  bool matches() { return ends(rules_[0], 0).contains(text_.size()); }

 private:
  using Places = std::set<std::size_t>;

  Places ends(const Tree& tree, std::size_t at) {
    Places out;
    switch (tree.kind) {
      case Tree::Kind::letter:
        if (at < text_.size() && text_[at] == tree.letter) out.insert(at + 1);
        break;
      case Tree::Kind::any:
        if (at < text_.size()) out.insert(at + 1);
        break;
      case Tree::Kind::choice:
        for (const Tree& part : tree.parts) out.merge(ends(part, at));
        break;
      case Tree::Kind::sequence:
        out = {at};
        for (const Tree& part : tree.parts) out = all_ends(part, out);
        break;
      case Tree::Kind::rule: {
        const auto known = known_.find({tree.rule, at});
        if (known != known_.end()) return known->second;
        out = ends(rules_[static_cast<std::size_t>(tree.rule)], at);
        known_[{tree.rule, at}] = out;
        break;
      }
      case Tree::Kind::repeat: {
        Places now = {at};
        for (int i = 0; i < tree.least; ++i) now = all_ends(tree.parts[0], now);
        out = now;
        for (int i = tree.least; tree.most < 0 ? i < 20 : i < tree.most; ++i)
          now = all_ends(tree.parts[0], now), out.merge(Places(now));
        break;
      }
    }
    return out;
  }

  Places all_ends(const Tree& tree, const Places& from) {
    Places out;
    for (const std::size_t at : from) out.merge(ends(tree, at));
    return out;
  }

  const std::vector<Tree>& rules_;
  std::string text_;
  std::map<std::pair<int, std::size_t>, Places> known_;
};

std::vector<std::string> all_texts(std::size_t longest) {
  std::vector<std::string> texts = {""};
  for (std::size_t i = 0; texts[i].size() < longest; ++i) texts.push_back(texts[i] + "a"), texts.push_back(texts[i] + "b");
  return texts;
}

void expect_language(const std::vector<Tree>& rules, const test::GrammarPtr& grammar, const std::string& name) {
  std::set<std::string> beginnings;
  const std::vector<std::string> texts = all_texts(7);
  for (const std::string& text : texts) {
    const bool expected = TreeMatcher(rules, text).matches();
    ASSERT_EQ(matches(grammar, text), expected) << name << "\ntext '" << text << "'";
    for (std::size_t size = 0; expected && size <= text.size(); ++size) beginnings.insert(text.substr(0, size));
  }
  for (const std::string& text : texts) {
    if (beginnings.contains(text)) {
      ASSERT_TRUE(begins(grammar, text)) << name << "\ntext '" << text << "'";
    } else if (GrammarMatcher matcher(grammar); text.size() <= 4 && matcher.accept(text)) {
      ASSERT_TRUE(test::can_be_finished(matcher)) << name << "\ndead end behind '" << text << "'";
    }
  }
}

TEST(Grammar, GbnfAllowsWhatItsRulesAllow) {
  for (unsigned seed = 1; seed <= 250; ++seed) {
    RandomTrees trees(seed);
    std::vector<Tree> rules;
    const int count = 1 + trees.below(3);
    for (int i = 0; i < count; ++i) rules.push_back(trees.rule(i, count));
    std::string text = "root ::= r0\n";
    for (int i = 0; i < count; ++i)
      text += "r" + std::to_string(i) + " ::= " + written(rules[static_cast<std::size_t>(i)], true) + "\n";
    test::GrammarPtr grammar;
    const std::string refused = refusal([&] { grammar = grammar_from_gbnf(text); });
    if (refused.empty()) {
      expect_language(rules, grammar, text);
    } else {
      // The only thing that can be wrong with them is that no text ends.
      EXPECT_THAT(refused, HasSubstr("no finite text")) << text;
      for (const std::string& one : all_texts(7)) EXPECT_FALSE(TreeMatcher(rules, one).matches()) << text;
    }
    if (HasFatalFailure()) return;
  }
}

TEST(Grammar, RegexesMatchAsAnIndependentMatcherSays) {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    const std::vector<Tree> rules = {RandomTrees(seed).expression(4, 0, 0)};
    const std::string pattern = written(rules[0], false);
    expect_language(rules, grammar_from_regex(pattern), pattern);
    if (HasFatalFailure()) return;
  }
}

TEST(Grammar, GbnfNotation) {
  const auto grammar = grammar_from_gbnf(
      "# a comment\nroot ::= greeting \" \" (\n  name # inside a group\n  | \"W\\x6frld\" ) [!.?]{1,3} end?\n"
      "greeting ::= \"Hello\" |\n  \"Gr\\u00fc\\U000000dfe\"\nname ::= [A-Z] [^A-Z \\t\\n!.?]+\nend ::= \"\\n\" .\n");
  for (const char* text :
       {"Hello World!", "Grüße Zoë?!.", "Hello Ad\xf0\x9f\x98\x80.", "Hello World!\n\xe2\x82\xac", "Hello World.\n\n"})
    EXPECT_TRUE(matches(grammar, text)) << text;
  for (const char* text :
       {"Hello", "hello World!", "Hello World", "Hello World!!!!", "Hello A!", "Hello World!\n", "Hello A\xff!"})
    EXPECT_FALSE(matches(grammar, text)) << text;
  EXPECT_FALSE(begins(grammar, "Hello A\xed\xa0\x80")) << "a surrogate is no character";
}

TEST(Grammar, GbnfRefusalsNameThePlace) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "no rule 'root'"},
      {"root ::= \"a", "ends within quotes"},
      {"root ::= [a", "ends within quotes or brackets"},
      {"root ::= (\"a\"", "')' is expected"},
      {"root ::= \"\\q\"", "line 1, character 12: unknown escape"},
      {"root ::= \"\\xZZ\"", "2 hexadecimal digits"},
      {"root ::= \"\\uD800\"", "no character"},
      {"root ::= other", "rule 'other' is used but not defined"},
      {"root ::= \"a\"\nroot ::= \"b\"", "line 2, character 9: rule 'root' is defined twice"},
      {"root \"a\"", "'::=' is expected"},
      {"root ::= \"a\" )", "the end of rule 'root' is expected"},
      {"root ::= [z-a]", "backwards"},
      {"root ::= \"a\"{3,2}", "from 3 to 2"},
      {"root ::= \"a\"{1001}", "more than 1000 times"},
      {"root ::= \"a\"{,3}", "{m,n}"},
      {"root ::= <think>", "tokens by name"},
      {"root ::= root \"a\" | \"a\"", "left-recursive"},
      {"root ::= x root \"c\" | \"b\"\nx ::= \"a\"?", "left-recursive"},
      {"root ::= a\na ::= b \"x\"\nb ::= a | \"y\"", "left-recursive"},
      {"root ::= \"a\" root", "nothing can match: 'root' has no finite text"},
      {"root ::= x\nx ::= \"a\" y\ny ::= \"b\" x", "no finite text"},
      {"root ::= []", "no finite text"},
      {std::string("root ::= \"\xff\""), "byte 10 is not valid UTF-8"},
      {std::string(70000, ' '), "at most 65536"},
      {"root ::= " + std::string(70, '(') + "\"a\"" + std::string(70, ')'), "nested deeper than 64"},
  };
  for (const auto& [text, message] : cases)
    EXPECT_THAT(refusal([&] { grammar_from_gbnf(text); }), HasSubstr(message)) << text.substr(0, 80);
}

TEST(Grammar, RegexNotation) {
  const auto grammar = grammar_from_regex(R"(^\w+@[a-z\d.-]{3,}\.(?:com|org)(?<tail>\s\S)?$|^\[x\]\x41\u00e9.$)");
  for (const char* text : {"joe_1@ex.am-ple.com", "a@abc.org \xe2\x82\xac", "[x]A\xc3\xa9\xc3\xa9"})
    EXPECT_TRUE(matches(grammar, text)) << text;
  for (const char* text : {"@abc.com", "a@ab.net", "a@abc.org \xc2\xa0", "[x]A\xc3\xa9\n", ""})
    EXPECT_FALSE(matches(grammar, text)) << text;
  EXPECT_TRUE(matches(grammar_from_regex(""), ""));
  EXPECT_TRUE(matches(grammar_from_regex("a+?b{2}?"), "aabb")) << "lazy forms mean the same";
}

TEST(Grammar, RegexRefusalsNameTheFeature) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"(a)\\1", "backreferences"},
      {"(?=a)b", "lookahead"},
      {"(?<!a)b", "lookbehind"},
      {"(?i)a", "flags"},
      {"\\bword", "word boundaries"},
      {"\\p{L}", "Unicode properties"},
      {"a++", "possessive"},
      {"a**", "needs a group"},
      {"*a", "repeats nothing"},
      {"a{2", "{m,n}"},
      {"a{x}", "{m,n}"},
      {"[a", "']' is expected"},
      {"[]a]", "empty"},
      {"[[:alpha:]]", "POSIX"},
      {"(a", "')' is expected"},
      {"a)", "closes no group"},
      {"a^b", "'^' is supported"},
      {"(a$)", "'$' is supported"},
      {"a\\", "backslash"},
      {"\\q", "escape \\q"},
      {"[b-a]", "backwards"},
      {"a{1001}", "1000"},
      {std::string(100, '(') + std::string(100, ')'), "deeper than 64"},
  };
  for (const auto& [pattern, message] : cases)
    EXPECT_THAT(refusal([&] { grammar_from_regex(pattern); }), HasSubstr(message)) << pattern.substr(0, 40);
}

TEST(Grammar, ChoicesAreWholeTexts) {
  const std::vector<std::string> choices = {"yes", "no", "not sure", "Zürich"};
  const auto grammar = grammar_from_choices(choices);
  for (const std::string& text : choices) EXPECT_TRUE(matches(grammar, text)) << text;
  for (const char* text : {"", "n", "not", "yess", "Z\xc3"}) EXPECT_FALSE(matches(grammar, text)) << text;
  EXPECT_THAT(refusal([] { grammar_from_choices({}); }), HasSubstr("empty"));
  EXPECT_THAT(refusal([] { grammar_from_choices(std::vector<std::string>{"a", ""}); }), HasSubstr("choice 2 is empty"));
  EXPECT_THAT(refusal([] { grammar_from_choices(std::vector<std::string>{"\xff"}); }), HasSubstr("not valid UTF-8"));
}

TEST(Grammar, HostileOnesAreCompiledOrRefusedSoon) {
  // Subsets of these are exponentially many, or copies multiply.
  const std::vector<std::string> patterns = {"(a|b)*a(a|b){200}",
                                             "((a{0,1000}){0,1000}){0,1000}",
                                             "(a|a?)+(a|a?)+(a|a?)+",
                                             "(?:(?:(?:a?){30}){30}){30}",
                                             "(.*)*(.*)*x",
                                             "([a-z]+)*$",
                                             "(x+x+)+y",
                                             "(?:a{1,1000}b{1,1000}){1,1000}",
                                             "[^\\x00-\\x{1"};
  for (const std::string& pattern : patterns) {
    const auto start = std::chrono::steady_clock::now();
    test::GrammarPtr grammar;
    const std::string refused = refusal([&] { grammar = grammar_from_regex(pattern); });
    try {
      GrammarMatcher matcher(grammar ? grammar : grammar_from_regex("a"));
      for (int i = 0; i < 300 && matcher.accept("a"); ++i) {
      }
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("too ambiguous")) << pattern;
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    EXPECT_LT(seconds, 10) << pattern << " " << refused;  // generous: sanitizers, busy machines
  }
  EXPECT_TRUE(matches(grammar_from_regex("((a{0,1000}b?){0,1000}){0,1000}"), std::string(12, 'a')));
  std::string doubling = "root ::= r0\n";
  for (int i = 0; i < 60; ++i)
    doubling += "r" + std::to_string(i) + " ::= r" + std::to_string(i + 1) + " r" + std::to_string(i + 1) + "\n";
  EXPECT_TRUE(begins(grammar_from_gbnf(doubling + "r60 ::= \"a\"\n"), std::string(1000, 'a')));
  std::string many;
  for (int i = 0; i < 5000; ++i) many += "r" + std::to_string(i) + "::=\"\"\n";
  EXPECT_THAT(refusal([&] { grammar_from_gbnf(many); }), HasSubstr("more than 4096 rules"));
  std::string wide = "root ::= ";
  for (int i = 0; i < 60; ++i) wide += "([a-z]{1,900} [0-9]{1,900}){1,900} ";
  EXPECT_THAT(refusal([&] { grammar_from_gbnf(wide); }),
              testing::AnyOf(HasSubstr("steps to compile"), HasSubstr("states"), testing::IsEmpty()));
}

TEST(GrammarMatcher, AmbiguousAndDeepTextsTakeBoundedMemory) {
  const auto palindromes = grammar_from_gbnf("root ::= \"a\" root \"a\" | \"b\" root \"b\" | \"a\" | \"b\" | \"\"\n");
  GrammarMatcher even(palindromes);
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(even.accept("a"));
  EXPECT_TRUE(even.can_end());
  ASSERT_TRUE(even.accept("b"));
  EXPECT_FALSE(even.can_end());

  const auto twins = grammar_from_gbnf("root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"x\"\n");
  GrammarMatcher exponential(twins);
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(exponential.accept("a"));
  ASSERT_TRUE(exponential.accept("x"));
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(exponential.accept(i % 3 == 0 ? "b" : "c"));
  EXPECT_TRUE(exponential.can_end());
  EXPECT_FALSE(exponential.can_continue());

  GrammarMatcher deep(grammar_from_gbnf("root ::= \"[\" root? \"]\"\n"));
  for (int i = 0; i < 200000; ++i) ASSERT_TRUE(deep.accept("["));
  GrammarMatcher fork = deep;
  for (int i = 0; i < 200000; ++i) ASSERT_TRUE(deep.accept("]"));
  EXPECT_TRUE(deep.can_end());
  EXPECT_FALSE(fork.can_end());
  EXPECT_TRUE(fork.accept("]"));
}

TEST(GrammarMatcher, ALongFlatTextTakesNoMoreMemoryThanAShortOne) {
  GrammarMatcher matcher(grammar_of_json_objects());
  ASSERT_TRUE(matcher.accept("{\"k\":["));
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(matcher.accept("{\"a\": [1, \"x\"]}, "));
  const std::size_t memory = matcher.states().memory();
  for (int i = 0; i < 100000; ++i) ASSERT_TRUE(matcher.accept("{\"a\": [1, \"x\"]}, "));
  EXPECT_EQ(matcher.states().memory(), memory);
}

TEST(GrammarMatcher, WhatIsNotAcceptedChangesNothing) {
  GrammarMatcher matcher(grammar_from_choices(std::vector<std::string>{"yes", "yellow"}));
  ASSERT_TRUE(matcher.accept("ye"));
  EXPECT_FALSE(matcher.accept("lx"));
  EXPECT_TRUE(matcher.next_bytes()['s'] && matcher.next_bytes()['l']);
  EXPECT_EQ(matcher.next_bytes().count(), 2u);
  GrammarMatcher fork = matcher;
  ASSERT_TRUE(matcher.accept("s"));
  EXPECT_TRUE(matcher.can_end() && !matcher.can_continue());
  EXPECT_TRUE(fork.accept("llow") && fork.can_end());
}

}  // namespace
}  // namespace bitnet
