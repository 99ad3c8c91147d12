// Chat templates: what each part of the language renders to (as jinja2 does), how templates fail, and that limits hold.
#include "tokenizers/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "common/error.h"
#include "common/utf8.h"

namespace bitnet {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const nlohmann::ordered_json& context() {
  static const auto json = nlohmann::ordered_json::parse(R"({
    "x": 7, "s": "Hello World", "l": [3, 1, 2], "d": {"b": 1, "a": {"k": [1, 2]}}, "n": null, "t": true,
    "users": [{"name": "Bob", "age": 30}, {"name": "al", "age": 25}],
    "messages": [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Hi"}]})");
  return json;
}

std::string render(std::string_view source, TemplateLimits limits = {}) {
  return ChatTemplate(source, limits).render(context());
}

// "KIND: message", with KIND "file" for bad_model and "use" for usage; "none" when nothing fails.
std::string failure(std::string_view source, TemplateLimits limits = {}) {
  try {
    render(source, limits);
  } catch (const Error& e) {
    return (e.kind() == ErrorKind::bad_model ? "file: "
            : e.kind() == ErrorKind::usage   ? "use: "
                                             : "other: ") +
           std::string(e.what());
  }
  return "none";
}

TEST(ChatTemplate, TrimsAroundTags) {
  EXPECT_EQ(render("a\n  {% if t %}\n b\n  {% endif %}\nc"), "a\n b\nc");
  EXPECT_EQ(render("a  {%- if t -%}  b  {%- endif +%}\nc"), "ab\nc");
  EXPECT_EQ(render("a\n {%+ if t %} b{% endif %}\n"), "a\n  b");
  EXPECT_EQ(render("a {{- x -}} b {{ x }} c"), "a7b 7 c");
  EXPECT_EQ(render("a\n  {# note #}\nb{#- note -#} c"), "a\nbc");
  EXPECT_EQ(render("{% raw %}{{ x }}\n  {% endraw %}\nb"), "{{ x }}\nb");
}

TEST(ChatTemplate, EvaluatesOperatorsAsPython) {
  EXPECT_EQ(render("{{ 1 + 2 * 3 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 2 ** 3 ** 2 }}"),
            "7 -4 2 3.5 3.0 64");
  EXPECT_EQ(render("{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'ell' in s }} {{ 9 not in l }} {{ 1 == 1.0 }} {{ [1] < [1, 2] }}"),
            "True False True True True True");
  EXPECT_EQ(render("{{ 'a' ~ 1 * 2 }} {{ 'ab' * 2 }} {{ [1] + [2] }} {{ 0 or '' or n }} {{ 1 and 2 }} {{ not x == 7 }}"),
            "a2 abab [1, 2] None 2 False");
  EXPECT_EQ(render("{{ 'y' if x > 5 else 'n' }}[{{ 'y' if not x }}]"), "y[]");
}

TEST(ChatTemplate, PrintsValuesAsPython) {
  EXPECT_EQ(render("{{ [1, 'a', none, true, 1.5, {}, (1,), {'k': \"it's\"}] }}"),
            "[1, 'a', None, True, 1.5, {}, (1,), {'k': \"it's\"}]");
  EXPECT_EQ(render("{{ 1.0 }} {{ 1e16 }} {{ 0.00001 }} {{ 1e999 }} {{ 0.1 + 0.2 }}"),
            "1.0 1e+16 1e-05 inf 0.30000000000000004");
}

TEST(ChatTemplate, SlicesTextAndLists) {
  EXPECT_EQ(render("{{ s[0] }}{{ s[-1] }} {{ s[::-1] }} {{ s[1:4] }} {{ l[1:] }} {{ l[::-1] }} [{{ l[9] }}]"),
            "Hd dlroW olleH ell [1, 2] [2, 1, 3] []");
  EXPECT_EQ(render("{{ '\\u4e16\\U0001F600z'[1:] }} {{ '\\u4e16\\U0001F600z'|length }}"), "\U0001F600z 3");
}

TEST(ChatTemplate, LoopsWithTheirVariables) {
  EXPECT_EQ(render("{% for i in l %}{{ loop.index }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.cycle('a', 'b') }}{{ "
                   "loop.previtem }};{% endfor %}"),
            "12Truea;21Falseb3;30Falsea1;");
  EXPECT_EQ(render("{% for k, v in d.items() if v is number %}{{ k }}{{ v }}{{ loop.length }}{% else %}none{% endfor %}"),
            "b11");
  EXPECT_EQ(render("{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i "
                   "}}{% endfor %}"),
            "023");
  EXPECT_EQ(render("{% for i in [1, 1, 2] %}{{ loop.changed(i) }}{% endfor %}{% for i in [] %}{% else %}E{% endfor %}"),
            "TrueFalseTrueE");
}

TEST(ChatTemplate, KeepsAssignmentsInTheirScope) {
  EXPECT_EQ(render("{% set a = 1 %}{% for i in l %}{% set a = a + i %}{{ a }}{% endfor %}{{ a }}"), "4231");
  EXPECT_EQ(render("{% set ns = namespace(a=1) %}{% for i in l %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}"), "7");
  EXPECT_EQ(
      render("{% set a, b = 1, 2 %}{% set c %}<{{ a }}{% endset %}{{ c }}{{ b }}{% with a = 5 %}{{ a }}{% endwith %}{{ a }}"),
      "<1251");
  EXPECT_EQ(render("{% set v | upper %}abc{% endset %}{{ v }}{% filter replace('a', 'b') %}aa{% endfilter %}"), "ABCbb");
}

TEST(ChatTemplate, CallsMacros) {
  EXPECT_EQ(
      render("{% macro m(a, b=2, c=a) %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, c='z') }}{{ m()|length }}"),
      "[121][12z]3");
  EXPECT_EQ(render("{% macro each(v) %}{% for i in v %}{{ caller(i) }},{% endfor %}{% endmacro %}{% call(i) each(l) %}{{ i * 2 "
                   "}}{% endcall %}"),
            "6,2,4,");
  EXPECT_EQ(render("{% macro down(n) %}{{ n }}{{ down(n - 1) if n }}{% endmacro %}{{ down(3) }}"), "3210");
  EXPECT_EQ(render("{% for i in l %}{% macro inner() %}{{ i }}{% endmacro %}{{ inner() }}{% endfor %}"), "312");
}

TEST(ChatTemplate, HasTheFiltersOfLists) {
  EXPECT_EQ(render("{{ l|sort }}{{ ['b', 'A']|sort }}{{ l|sort(reverse=true)|join('-') }}{{ l|min }}{{ l|max }}{{ l|sum }}"),
            "[1, 2, 3]['A', 'b']3-2-1136");
  EXPECT_EQ(render("{{ users|map(attribute='name')|list }}{{ users|selectattr('age', 'gt', 26)|map(attribute='name')|first }}"),
            "['Bob', 'al']Bob");
  EXPECT_EQ(render("{{ [1, 2, 3]|select('odd')|list }}{{ ['a', 'A']|unique|list }}{{ [1, 2, 3]|batch(2)|list }}{{ "
                   "d|dictsort|first|first }}"),
            "[1, 3]['a'][[1, 2], [3]]a");
  EXPECT_EQ(render("{% for age, who in users|groupby('age') %}{{ age }}{{ who[0].name }} {% endfor %}"), "25al 30Bob ");
}

TEST(ChatTemplate, HasTheFiltersOfText) {
  EXPECT_EQ(render("{{ ' a '|trim }}|{{ s|upper }}|{{ 'hi YOU'|title }}|{{ 'hI'|capitalize }}|{{ 'a\\nb'|indent(2) }}"),
            "a|HELLO WORLD|Hi You|Hi|a\n  b");
  EXPECT_EQ(render("{{ nope|default('d') }}{{ ''|default('e', true) }}{{ n|default('f') }}{{ '42.9'|int }}{{ 'x'|int(5) }}{{ "
                   "2.675|round(2) }}"),
            "deNone4252.67");
  EXPECT_EQ(render("{{ '<&>'|escape }}{{ 'a b'|replace(' ', '_') }}{{ '%s-%03d'|format('a', 5) }}{{ 'a b'|wordcount }}"),
            "&lt;&amp;&gt;a_ba-0052");
}

TEST(ChatTemplate, WritesJsonAsPython) {
  EXPECT_EQ(render("{{ d|tojson }}{{ '<\\u00e9\"'|tojson }}{{ [1.0, none]|tojson }}"),
            R"({"b": 1, "a": {"k": [1, 2]}}"<é\""[1.0, null])");
  EXPECT_EQ(render("{{ d|tojson(indent=1, sort_keys=true) }}"),
            "{\n \"a\": {\n  \"k\": [\n   1,\n   2\n  ]\n },\n \"b\": 1\n}");
  EXPECT_EQ(render("{{ d|tojson(separators=(',', ':')) }}{{ '\\u00e9'|tojson(ensure_ascii=true) }}"),
            R"({"b":1,"a":{"k":[1,2]}}"\u00e9")");
}

TEST(ChatTemplate, HasTheMethodsOfStrings) {
  EXPECT_EQ(render("{{ 'a,b,c'.split(',', 1) }}{{ ' a  b '.split() }}{{ 'a-b'.rsplit('-')[-1] }}{{ 'xax'.strip('x') }}{{ "
                   "'a\\nb'.splitlines() }}"),
            "['a', 'b,c']['a', 'b']ba['a', 'b']");
  EXPECT_EQ(render("{{ s.startswith('He') }}{{ s.endswith(('x', 'ld')) }}{{ s.find('o', 5) }}{{ s.count('l') }}{{ "
                   "s.replace('l', 'L', 1) }}"),
            "TrueTrue73HeLlo World");
  EXPECT_EQ(
      render("{{ '-'.join(['a', 'b']) }}{{ '{} {k}'.format(1, k=2) }}{{ 'a=b'.partition('=') }}{{ 'ab'.removeprefix('a') }}"),
      "a-b1 2('a', '=', 'b')b");
}

TEST(ChatTemplate, TreatsUndefinedAsJinja) {
  EXPECT_EQ(render("[{{ nope }}][{{ d.nope }}][{{ nope ~ 'a' }}]{{ nope is defined }}{{ nope|length }}{{ nope|list }}{{ nope "
                   "== nope2 }}"),
            "[][][a]False0[]True");
  EXPECT_EQ(failure("\n{{ nope.foo }}"), "use: chat template: line 2: 'nope' is undefined");
  EXPECT_THAT(failure("{{ nope + 1 }}"), HasSubstr("'nope' is undefined"));
  EXPECT_THAT(failure("{{ s.nope() }}"), HasSubstr("'nope' of a str is undefined"));
}

TEST(ChatTemplate, ReachesNoObjectOfTheHost) {
  EXPECT_EQ(render("{{ ''.__class__ }}{{ [].__init__ }}"), "");
  EXPECT_THAT(failure("{{ ''.__class__.__mro__ }}"), HasSubstr("undefined"));
  EXPECT_THAT(failure("{{ l.append(1) }}"), HasSubstr("undefined"));
  EXPECT_THAT(failure("{% include 'x' %}"), HasSubstr("the tag 'include' is not supported"));
  EXPECT_THAT(failure("{% import 'x' as y %}"), HasSubstr("the tag 'import' is not supported"));
  EXPECT_THAT(failure("{% extends 'x' %}"), HasSubstr("the tag 'extends' is not supported"));
}

TEST(ChatTemplate, PassesGenerationBlocksThrough) {
  EXPECT_EQ(render("{% generation %}\na{{ x }}\n{% endgeneration %}\nb"), "a7\nb");
}

TEST(ChatTemplate, RefusesBrokenSourceWithItsLine) {
  for (const char* source : {"\n{{ x", "\n{% if x %}", "\n{% endif %}", "\n{% if x %}{% endfor %}", "\n{{ (x }}", "\n{{ x) }}",
                             "\n{{ 'a }}", "\n{{ [1 }}", "\n{{ a b }}", "\n{{ x + }}", "\n{{ x|nosuch }}",
                             "\n{{ x is nosuch }}", "\n{% break %}", "\n{# open", "\n{{ x ! y }}", "\n{% set 1 = 2 %}",
                             "\n{{ f(a=1, 2) }}", "\n{% macro m(a=1, b) %}{% endmacro %}", "\n{{ 99999999999999999999 }}"}) {
    EXPECT_THAT(failure(source), StartsWith("file: chat template: line 2: ")) << source;
  }
  EXPECT_THAT(failure("\xff"), StartsWith("file: chat template: "));
  EXPECT_THAT(failure(std::string(300'000, 'a')), AllOf(StartsWith("file: "), HasSubstr("at most 262144")));
}

TEST(ChatTemplate, ReportsWhatTheTemplateRaises) {
  EXPECT_EQ(failure("\n\n{{ raise_exception('roles must alternate') }}"), "use: chat template: line 3: roles must alternate");
  EXPECT_THAT(failure("{{ 1 / 0 }}"), HasSubstr("a division by zero"));
  EXPECT_THAT(failure("{{ 9223372036854775807 + 1 }}"), HasSubstr("does not fit 64 bits"));
  EXPECT_THAT(failure("{{ 1 + 'a' }}"), HasSubstr("int + str is not possible"));
}

// Every template here would run for ages, fill the memory or exhaust the stack.
TEST(ChatTemplate, EndsBombsWithAnError) {
  const auto repeat = [](std::string_view part, int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += part;
    return text;
  };
  const std::string grow =
      "{% set ns = namespace(a=['x'], b=['x']) %}{% for i in range(50) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, "
      "ns.b] %}{% endfor %}";
  const std::vector<std::string> bombs = {
      "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}{% endfor %}{% endfor %}{% endfor %}",
      "{{ range(1000000000000)|length }}",
      "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
      "{{ 'x' * 1000000000000 }}",
      "{{ [1] * 1000000000000 }}",
      "{{ range(100000)|join('x' * 100000) }}",
      "{{ ('a' * 100000)|replace('a', 'b' * 100000) }}",
      "{% for a in range(100000) %}{{ 'x' * 1000 }}{% endfor %}",
      grow + "{{ ns.a }}",
      grow + "{{ ns.a|tojson }}",
      grow + "{{ ns.a == ns.b }}",
      grow + "{{ ns.a < ns.b }}",
      grow + "{{ ns.a in [ns.b] }}",
      "{% set a = 'a' * 2000000 %}{% set b = 'a' * 1000000 ~ 'b' %}{{ b in a }}",
      "{% set a = 'a' * 4000000 %}{% set b = 'a' * 3999999 ~ 'a' %}{% for i in range(100000) %}{% if a == b %}{% endif %}{% "
      "endfor %}",
      "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
      "{% macro m(n=m()) %}{% endmacro %}{{ m() }}",
      "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}",
      "{% set ns = namespace(a=[]) %}{% for i in range(1000) %}{% set ns.a = [ns.a] %}{% endfor %}{{ ns.a }}",
      "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns.a }}",
      "{{ 'a'|map(" + repeat("'map', ", 20000) + "'upper') }}",
      "{{ " + repeat("(", 100000),
      "{{ " + repeat("[", 100000),
      "{{ " + repeat("{1:", 80000),
      "{{ " + repeat("not ", 60000) + "1 }}",
      "{{ " + repeat("-", 100000) + "1 }}",
      "{{ 1" + repeat("|string", 30000) + " }}",
      "{{ a" + repeat(".b", 100000) + " }}",
      repeat("{% if 1 %}", 20000),
      "{{ " + repeat("1 if 0 else ", 20000) + "1 }}",
      "{{ " + repeat("1 or 1 and 1 == 1 + 1 ~ 1 * 1 ** (", 60) + "1" + repeat(")", 60) + " }}",
  };
  for (const std::string& bomb : bombs) EXPECT_NE(failure(bomb), "none") << bomb.substr(0, 120);
}

TEST(ChatTemplate, ObeysTheLimitsItIsGiven) {
  EXPECT_THAT(failure("{% for i in range(100) %}{% endfor %}", {.steps = 50}), HasSubstr("more than 50 steps"));
  EXPECT_THAT(failure("{{ 'x' * 11 }}", {.output_bytes = 10}), HasSubstr("more than 10 bytes"));
  EXPECT_THAT(failure("{% for i in l %}xxxx{% endfor %}", {.output_bytes = 10}), HasSubstr("more than 10 bytes"));
  EXPECT_THAT(failure("{{ [[[[[1]]]]] }}", {.depth = 4}), HasSubstr("nested deeper than 4"));
  EXPECT_EQ(render("{{ [[[[1]]]] }}", {.depth = 6}), "[[[[1]]]]");
}

TEST(ChatTemplate, KeepsTheOrderOfTheContext) {
  EXPECT_EQ(ChatTemplate("{{ z|tojson }}").render(nlohmann::ordered_json::parse(R"({"z": {"b": 1, "a": 2}})")),
            R"({"b": 1, "a": 2})");
  EXPECT_THROW(ChatTemplate("a").render(nlohmann::ordered_json::array()), Error);
}

TEST(ChatTemplate, IsSharedBetweenThreads) {
  const ChatTemplate shared("{% for m in messages %}{{ m.role }}:{{ m.content|trim }};{% endfor %}");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 50; ++j) EXPECT_EQ(shared.render(context()), "system:Be brief.;user:Hi;");
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(ChatTemplate, RendersTheTurnsOfBitNet2B) {
  const ChatTemplate made(bitnet_2b_template());
  auto json = nlohmann::ordered_json::parse(
      R"({"messages": [{"role": "system", "content": " Be brief.\n"}, {"role": "user", "content": "Hi"},
      {"role": "assistant", "content": "Yo "}, {"role": "user", "content": "Bye"}]})");
  EXPECT_EQ(made.render(json), "System: Be brief.<|eot_id|>User: Hi<|eot_id|>Assistant: Yo<|eot_id|>User: Bye<|eot_id|>");
  json["add_generation_prompt"] = true;
  EXPECT_EQ(made.render(json),
            "System: Be brief.<|eot_id|>User: Hi<|eot_id|>Assistant: Yo<|eot_id|>User: Bye<|eot_id|>Assistant: ");
}

TEST(ChatTemplate, SurvivesMutations) {
  const std::vector<std::string> seeds = {
      "{%- if tools %}{{- '<s>\\n' }}{%- for tool in tools %}{{ tool | tojson(indent=2) }}{% endfor %}{% endif %}",
      "{% set ns = namespace(a=0, b='') %}{% for m in messages[::-1] %}{% set ns.a = ns.a + loop.index0 %}{{ m.role ~ ':' ~ "
      "m['content'][1:-1]|trim }}{% endfor %}",
      "{% macro f(a, b=2) -%}\n [{{ a }}{{ caller() if caller else b }}]\n{%- endmacro %}{{ f(1) }}{% call f(l) %}{{ x ** 2 // "
      "3 }}{% endcall %}",
      "{{ users|selectattr('age', 'gt', 26)|map(attribute='name')|sort|join(', ') }}{{ s.split(' ')[0].upper() if s is string "
      "and x in [7] else {'a': (1,)} }}",
      "{# c #}{% raw %}{{ }}{% endraw %}{% filter upper %}a{% endfilter %}{% with q = 1 %}{{ q }}{% endwith %}{{ '%s %d' % "
      "('a', 1) }}{{ 1.5e3|round|int }}"};
  constexpr std::uint32_t seed = 20261124;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const std::string alphabet = "{}%#-+()[]'\"|.,:=~*/<>!\\ \nabx019_\xc3\xa9";
  int rendered = 0, failed = 0;
  for (int i = 0; i < 5000; ++i) {
    std::string source = seeds[below(seeds.size())];
    for (std::size_t changes = 1 + below(4); changes > 0 && !source.empty(); --changes) {
      const std::size_t at = below(source.size());
      switch (below(4)) {
        case 0:
          source.erase(at, 1 + below(6));
          break;
        case 1:
          source.insert(at, 1, alphabet[below(alphabet.size())]);
          break;
        case 2:
          source[at] = alphabet[below(alphabet.size())];
          break;
        default: {
          const std::string& other = seeds[below(seeds.size())];
          const std::size_t from = below(other.size());
          source.insert(at, other.substr(from, 1 + below(20)));
        }
      }
    }
    try {
      EXPECT_TRUE(utf8_valid(ChatTemplate(source, {.steps = 20000}).render(context())));
      ++rendered;
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), StartsWith("chat template: "));
      EXPECT_TRUE(utf8_valid(e.what())) << source;
      ++failed;
    }
  }
  EXPECT_GT(rendered, 200);
  EXPECT_GT(failed, 200);
}

}  // namespace
}  // namespace bitnet
