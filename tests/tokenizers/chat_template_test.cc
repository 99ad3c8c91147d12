// The template language, feature by feature (expectations as Python's jinja2 gives them), and its limits.
#include "tokenizers/chat_template.h"

#include <gmock/gmock.h>

#include <random>

#include "common/error.h"

namespace bitnet {
namespace {

using json = nlohmann::ordered_json;
using testing::HasSubstr;

const json context = {{"messages", {{{"role", "user"}, {"content", " Hi "}}, {{"role", "assistant"}, {"content", "Yo"}}}},
                      {"n", -7},
                      {"l", {3, 1, 2, 1}},
                      {"d", {{"b", 2}, {"a", nullptr}}},
                      {"s", "a,b,,c"},
                      {"add_generation_prompt", true}};

std::string render(const std::string& source) { return ChatTemplate(source).render(context); }

TEST(ChatTemplate, ControlsWhiteSpace) {
  EXPECT_EQ(render("a\n{% if true %}\n  b\n  {%- if true %}\n c\n{% endif -%}\n  d\n{% endif %}\ne\n"), "a\n  b c\nd\ne");
  EXPECT_EQ(render("x  {{- ' y ' -}}  z"), "x y z");
  EXPECT_EQ(render("{# c #}\n  {# d #}k"), "k");
  EXPECT_EQ(render("a {%+ if true %}b{% endif +%}\nc"), "a b\nc");
  EXPECT_EQ(render("{% raw %}{{ x }}{% endraw %}"), "{{ x }}");
}

TEST(ChatTemplate, Loops) {
  EXPECT_EQ(
      render("{% for x in l if x > 1 %}{{ loop.index }}{{ loop.last }}{{ loop.revindex0 }}{{ x }};{% else %}no{% endfor %}"),
      "1False13;2True02;");
  EXPECT_EQ(
      render(
          "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}"),
      "3");
  EXPECT_EQ(render("{% for k, v in d.items() %}{{ k }}={{ v }} {% endfor %}{% for x in [] %}{% else %}none{% endfor %}"),
            "b=2 a=None none");
  EXPECT_EQ(
      render("{% for m in messages %}{{ loop.cycle('A', 'B') }}{{ m.role[0] }}{{ loop.previtem is defined }}{% endfor %}"),
      "AuFalseBaTrue");
}

TEST(ChatTemplate, SetsAndScopes) {
  EXPECT_EQ(render("{% set a = 1 %}{% for i in range(2) %}{% set a = 9 %}{% endfor %}{{ a }}"), "1");
  EXPECT_EQ(render("{% set ns = namespace(x=0) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}"), "7");
  EXPECT_EQ(
      render("{% set a, b = 1, 2 %}{% set c %}[{{ a }}]{% endset %}{{ c }}{{ b }}{% with z = 5 %}{{ z }}{% endwith %}{{ z }}"),
      "[1]25");
}

TEST(ChatTemplate, MacrosAndCalls) {
  EXPECT_EQ(render("{% macro f(x, y=2) %}<{{ x }}{{ y }}{{ caller() if caller }}>{% endmacro %}{{ f(1) }}{{ f(1, y=3) }}{% "
                   "call f(0) %}in{% endcall %}"),
            "<12><13><02in>");
  EXPECT_EQ(render("{% filter upper %}ab{{ n }}{% endfilter %}{% generation %}g{% endgeneration %}"), "AB-7g");
}

TEST(ChatTemplate, ComputesAsPython) {
  EXPECT_EQ(render("{{ n // 2 }} {{ n % 3 }} {{ 7 // -2 }} {{ 2 ** 10 }} {{ 7 / 2 }} {{ 1e-5 }} {{ 1.0 }} {{ 'a' * 3 }} {{ 1 ~ "
                   "'b' ~ none }}"),
            "-4 2 -4 1024 3.5 1e-05 1.0 aaa 1bNone");
  EXPECT_EQ(render("{{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }} {{ 1 == 1.0 }} {{ 'x' in 'axb' }} {{ 5 not in l }} {{ not n }} {{ 0 or 'x' "
                   "}} {{ 1 if false }}|"),
            "True False True True True False x |");
  EXPECT_EQ(
      render("{{ l[1:] }} {{ l[::-1] }} {{ 'abc'[-1] }} {{ 'h\xc3\xa9llo'[1:3] }} {{ messages[-1].content }} {{ l + [9] }}"),
      "[1, 2, 1] [1, 2, 1, 3] c \xc3\xa9l Yo [3, 1, 2, 1, 9]");
  EXPECT_EQ(render("{{ d }} {{ [\"it's\", 'q\"', none, true, (1,)] }}"),
            "{'b': 2, 'a': None} [\"it's\", 'q\"', None, True, (1,)]");
}

TEST(ChatTemplate, FiltersAndTests) {
  EXPECT_EQ(
      render(
          "{{ l|sort|join('-') }} {{ l|unique|list }} {{ l|sum }} {{ l|max }} {{ messages|map(attribute='role')|join(',') }}"),
      "1-1-2-3 [3, 1, 2] 7 3 user,assistant");
  EXPECT_EQ(render("{{ messages|selectattr('role', 'equalto', 'user')|list|length }} {{ x|default('d') }} {{ ''|default('e', "
                   "true) }} {{ ' a '|trim }} {{ 'ab c'|title }}"),
            "1 d e a Ab C");
  EXPECT_EQ(render("{{ n is number }} {{ x is defined }} {{ none is none }} {{ d is mapping }} {{ 3 is odd }} {{ 6 is "
                   "divisibleby 3 }} {{ l is not string }}"),
            "True False True True True True True");
  EXPECT_EQ(render("{{ '12'|int + 1 }} {{ 2.5|round }} {{ -3|abs }} {{ 'a\nb'|indent(2) }} {{ d|dictsort }}"),
            "13 2.0 3 a\n  b [('a', None), ('b', 2)]");
}

TEST(ChatTemplate, WritesJsonAsPython) {
  EXPECT_EQ(render("{{ d|tojson }} {{ [1.5, 'h\xc3\xa9<\"', true]|tojson }}"),
            "{\"b\": 2, \"a\": null} [1.5, \"h\xc3\xa9<\\\"\", true]");
  EXPECT_EQ(render("{{ d|tojson(indent=2) }}"), "{\n  \"b\": 2,\n  \"a\": null\n}");
}

TEST(ChatTemplate, StringMethods) {
  EXPECT_EQ(render("{{ s.split(',') }} {{ s.split(',', 1)[1] }} {{ 'a b'.split() }} {{ ' x '.strip() }}| {{ s.startswith('a') "
                   "}} {{ s.replace(',', '') }} {{ 'aB'.upper() }} {{ s.find('b') }}"),
            "['a', 'b', '', 'c'] b,,c ['a', 'b'] x| True abc AB 2");
}

TEST(ChatTemplate, KnowsUndefined) {
  EXPECT_EQ(render("[{{ nothing }}{{ d.nothing }}]"), "[]");
  EXPECT_THAT([] { render("a\n{{ nothing.more }}"); },
              testing::ThrowsMessage<Error>("chat template: line 2: 'nothing' is undefined, it has no 'more'"));
}

TEST(ChatTemplate, NamesWhatItRefuses) {
  const auto refused = [](const std::string& source, const std::string& text) {
    EXPECT_THAT([&] { render(source); }, testing::ThrowsMessage<Error>(HasSubstr(text))) << source;
  };
  refused("{{ raise_exception('roles must alternate') }}", "line 1: roles must alternate");
  refused("{% include 'x' %}", "the tag 'include' is not supported");
  refused("\n\n{% if x %}", "line 3: 'endif' is missing");
  refused("{{ 'x", "a string does not end");
  refused("{% for %}", "expected");
  refused("{{ 1 + 'a' }}", "between int and str");
  refused("{{ 1 // 0 }}", "division by zero");
  refused("{{ l.append(1) }}", "templates may not");
  refused("{{ nope() }}", "'nope' is undefined");
  refused("{{ 1|nope }}", "no filter 'nope'");
  refused("{{ 1 is nope }}", "no test 'nope'");
  refused("{{ 9223372036854775807 + 1 }}", "does not fit 64 bits");
  EXPECT_EQ(render("{{ ''.__class__ }}"), "") << "nothing of the host is reachable";
}

TEST(ChatTemplate, EndsBombs) {
  const auto ended = [](const std::string& source, const std::string& text) {
    EXPECT_THAT([&] { render(source); }, testing::ThrowsMessage<Error>(HasSubstr(text))) << source.substr(0, 80);
  };
  ended("{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}", "steps");
  ended("{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(40) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "longer than");
  ended("{{ 'x' * 999999999999 }}", "longer than");
  ended("{{ range(999999999) }}", "steps");
  ended("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nested deeper");
  ended("{% set ns = namespace(x=[]) %}{% for i in range(1000) %}{% set ns.x = [ns.x] %}{% endfor %}", "nested deeper");
  ended("{% set ns = namespace() %}{% set ns.self = ns %}", "held");
  ended("{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}", "deeper");
  ended("{{ " + std::string(5000, '[') + std::string(5000, ']') + " }}", "deeper");
  ended(
      "{{ 1" +
          [] {
            std::string s;
            for (int i = 0; i < 5000; ++i) s += "+1";
            return s;
          }() +
          " }}",
      "deeper");
  std::string ifs;
  for (int i = 0; i < 5000; ++i) ifs += "{% if true %}";
  ended(ifs, "deeper");
}

TEST(ChatTemplate, HasBitnetsOwnTurns) {
  EXPECT_EQ(render(std::string(bitnet_2b_template())), "User: Hi<|eot_id|>Assistant: Yo<|eot_id|>Assistant: ");
}

TEST(ChatTemplate, SurvivesMutation) {
  const std::uint32_t seed = 4711;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const std::string source =
      "{% macro f(x) %}{{ x|upper }}{% endmacro %}{% for m in messages if m.role != 'q' -%}\n{{ f(m['content'][:2])|trim ~ "
      "loop.index }}{% else %}n{% endfor %}{% set ns = namespace(a=[1,{'b':2}]) %}{{ ns.a|tojson(indent=1) }}{% if n is odd "
      "and not x %}{{ s.split(',')[1:]|join }}{% endif %}";
  const std::string alphabet = "{}%#()[]|.,:'\"-+*/~=<> \nabfnx019\\";
  int rendered = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string mutated = source;
    for (int edits = 1 + static_cast<int>(random() % 4); edits > 0; --edits) {
      const std::size_t at = random() % mutated.size();
      switch (random() % 3) {
        case 0:
          mutated[at] = alphabet[random() % alphabet.size()];
          break;
        case 1:
          mutated.erase(at, 1 + random() % 8);
          break;
        default:
          mutated.insert(at, mutated.substr(random() % mutated.size(), random() % 12));
          break;
      }
      if (mutated.empty()) mutated = "x";
    }
    try {
      render(mutated);
      ++rendered;
    } catch (const Error&) {
    }
  }
  EXPECT_GT(rendered, 100);
}

}  // namespace
}  // namespace bitnet
