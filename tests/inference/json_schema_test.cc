// JSON Schema as a grammar: which texts each keyword lets through, what is refused by name, and that memory stays flat.
#include <gmock/gmock.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "inference/grammar/grammar.h"
#include "support/grammar_samples.h"

namespace bitnet {
namespace {

using test::matches;
using test::refusal;
using testing::HasSubstr;

struct Case {
  const char* schema;
  std::vector<std::string> valid, invalid;
};

void expect_cases(const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    const auto grammar = grammar_from_json_schema(one.schema);
    for (const std::string& text : one.valid) EXPECT_TRUE(matches(grammar, text)) << one.schema << "\n" << text;
    for (const std::string& text : one.invalid) EXPECT_FALSE(matches(grammar, text)) << one.schema << "\n" << text;
  }
}

TEST(JsonSchema, ScalarTypes) {
  expect_cases({
      {R"({"type":"string"})",
       {R"("")", R"("a\"\\\/\b\f\n\r\t\u00e9 ü")", R"("\uD83D\uDE00")", R"("\uFFFF")"},
       {"a", R"("a)", "\"\n\"", R"("\x")", R"("\uD83D")", R"("\uDE00\uD83D")", R"("\uD83Dx")", R"("\u12")",
        "\"\xed\xa0\x80\""}},
      {R"({"type":"integer"})", {"0", "-1", "1234567890123456"}, {"01", "-0", "1.0", "1e3", "+1", "12345678901234567"}},
      {R"({"type":"number"})", {"0", "-0.5", "12.25e-3", "1E+09"}, {".5", "1.", "1e", "01.5", "1e999"}},
      {R"({"type":"boolean"})", {"true", "false"}, {"True", "1"}},
      {R"({"type":["string","null"]})", {R"("x")", "null"}, {"nul", "1"}},
      {R"({"enum":["a",1,null,{"b":[true]},"ü\n"]})",
       {R"("a")", "1", "null", R"({"b":[true]})", R"("ü\n")"},
       {R"("b")", "2", R"({"b": [true]})"}},
      {R"({"const":"x","type":"string","description":"ignored"})", {R"("x")"}, {"x", R"("y")"}},
      {R"({"enum":["a",1,1.5,true],"type":["integer","boolean"]})", {"1", "true"}, {R"("a")", "1.5"}},
      {R"({"type":"integer","nullable":true})", {"3", "null"}, {"nil"}},
      {"true", {"1", R"({"a": [1, {}]})", "[]"}, {"", "x", "[1,]"}},
  });
}

TEST(JsonSchema, Strings) {
  expect_cases({
      {R"({"type":"string","minLength":2,"maxLength":3})", {R"("ab")", "\"a\\\"\xe2\x82\xac\""}, {R"("a")", R"("abcd")"}},
      {R"({"type":"string","maxLength":100000})",
       {"\"" + std::string(1000, 'x') + "\""},
       {"\"" + std::string(1001, 'x') + "\""}},
      {R"({"type":"string","pattern":"^[A-Z]{2}\\d+$"})", {R"("AB1")"}, {R"("xAB1")", R"("AB1 ")", R"("AB")"}},
      {R"({"type":"string","pattern":"\\d"})", {R"("a1b")", R"("1")"}, {R"("ab")"}},
      {R"({"type":"string","pattern":"^a|b$"})", {R"("axx")", R"("xxb")"}, {R"("xbx")"}},
      {R"({"type":"string","pattern":"^[\"\\\\\\n]x.$"})",
       {R"("\"x.")", R"("\\xü")", R"("\nx\t")"},
       {R"("n")", "\"\nx.\"", R"("\nx\n")"}},
      {R"({"type":"string","pattern":"^[a-z]{3}$","minLength":3,"maxLength":5})", {R"("abc")"}, {R"("ab")"}},
      {R"({"type":"string","format":"date"})",
       {R"("2024-02-29")", R"("1999-12-31")"},
       {R"("2023-02-29")", R"("1900-02-29")", R"("2024-13-01")", R"("2024-04-31")"}},
      {R"({"type":"string","format":"date-time"})",
       {R"("2024-01-31T23:59:59.123Z")", R"("2024-01-31T00:00:00+05:30")"},
       {R"("2024-01-31 00:00:00Z")", R"("2024-01-31T24:00:00Z")"}},
      {R"({"type":"string","format":"uuid"})",
       {R"("123e4567-e89b-12d3-a456-426614174000")"},
       {R"("123e4567e89b12d3a456426614174000")"}},
      {R"({"type":"string","format":"email"})",
       {R"("joe.doe+x@mail.example.com")"},
       {R"("joe")", R"("joe@local")", R"("a@-b.com")"}},
      {R"({"type":"string","format":"ipv4"})", {R"("255.0.10.199")"}, {R"("256.0.0.1")", R"("1.2.3")", R"("01.2.3.4")"}},
      {R"({"type":"string","format":"uri"})", {R"("https://a.example.com:80/x/y?z=1")"}, {R"("example.com")"}},
  });
}

TEST(JsonSchema, ObjectsFollowTheOrderOfTheSchema) {
  expect_cases({
      {R"({"type":"object","properties":{"b":{"type":"integer"},"a":{"type":"string"},"c":{"type":"null"}},"required":["b","c"]})",
       {R"({"b":1,"a":"x","c":null})", R"({"b":1,"c":null})", "{\n  \"b\": 1, \"c\": null\n}", R"({ "b":1,"c":null })"},
       {R"({"c":null,"b":1})", R"({"b":1})", R"({"b":1,"c":null,"d":2})", R"({"b":1,"c":null,})", R"({"b" : 1,"c":null})",
        "{\n\n\n\n\"b\":1,\"c\":null}"}},
      {R"({"properties":{"a":{},"b":{},"c":{}}})",
       {"{}", R"({"a":1})", R"({"b":[]})", R"({"a":1,"c":{}})", R"({"a":1,"b":2,"c":3})"},
       {R"({"b":1,"a":1})", R"({"d":1})", "1"}},
      {R"({"type":"object"})", {"{}", R"({"x":{"y":[1,2]}})"}, {"[]", R"({"x"})"}},
      {R"({"type":"object","additionalProperties":{"type":"integer"}})", {"{}", R"({"x":1, "y":2})"}, {R"({"x":"1"})"}},
      {R"({"type":"object","properties":{"ab":{"type":"string"},"abc":{"type":"string"}},"required":["ab"],"additionalProperties":{"type":"integer"}})",
       {R"({"ab":"x","a":1})", R"({"ab":"x","abc":"y","abd":1,"":2})", R"({"ab":"x","ü":1})"},
       {R"({"ab":"x","ab":1})", R"({"ab":"x","abc":1})", R"({"ab":"x","\u0061bc":1})"}},
      {R"({"type":"object","additionalProperties":false})", {"{}"}, {R"({"a":1})"}},
      {R"({"type":"object","required":["x"]})", {R"({"x":1})"}, {"{}"}},
      {R"({"type":"object","properties":{"a\"b":{"const":1}},"required":["a\"b"]})", {R"({"a\"b":1})"}, {R"({"a":1})"}},
      {R"({"type":"object","properties":{"a":{"type":"string"},"never":false}})", {"{}", R"({"a":""})"}, {R"({"never":1})"}},
  });
}

TEST(JsonSchema, Arrays) {
  expect_cases({
      {R"({"type":"array","items":{"type":"integer"}})",
       {"[]", "[1]", "[1, 2,3]", "[\n  1,\n  2\n]"},
       {"[1,]", "[,1]", "[\"a\"]", "[1 2]"}},
      {R"({"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":3})",
       {"[1,2]", "[1,2,3]"},
       {"[]", "[1]", "[1,2,3,4]"}},
      {R"({"type":"array","items":{"enum":[1]},"maxItems":0})", {"[]"}, {"[1]"}},
      {R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":{"type":"null"}})",
       {R"([1,"a"])", R"([1,"a",null,null])"},
       {"[1]", R"([1,"a",1])"}},
      {R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}]})", {R"([1,"a"])"}, {R"([1,"a",null])"}},
      {R"({"type":"array","items":[{"type":"integer"}],"additionalItems":false,"minItems":1})", {"[1]"}, {"[]", "[1,2]"}},
      {R"({"type":"array","prefixItems":[{"const":1}],"minItems":3})", {R"([1,{},"x"])"}, {"[1]", "[1,2]"}},
      {R"({"type":"array","uniqueItems":false})", {"[]", "[1,1]"}, {}},
  });
}

TEST(JsonSchema, IntegersWithinBoundsAreExact) {
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    int low = static_cast<int>(random() % 2600) - 1300, high = low + static_cast<int>(random() % (round % 2 == 0 ? 30 : 1500));
    const bool open_low = random() % 2 == 0, open_high = random() % 2 == 0;
    const std::string schema = fmt::format(R"({{"type":"integer","{}":{},"{}":{}}})", open_low ? "exclusiveMinimum" : "minimum",
                                           low, open_high ? "exclusiveMaximum" : "maximum", high);
    low += open_low, high -= open_high;
    if (low > high) {
      EXPECT_THAT(refusal([&] { grammar_from_json_schema(schema); }), HasSubstr("nothing can match"));
      continue;
    }
    const auto grammar = grammar_from_json_schema(schema);
    for (int value = -1500; value <= 3000; ++value)
      ASSERT_EQ(matches(grammar, std::to_string(value)), value >= low && value <= high) << schema << " " << value;
  }
  expect_cases({
      {R"({"type":"integer","minimum":0})", {"0", "7", "9999999999999999"}, {"-1", "-0"}},
      {R"({"type":"integer","maximum":-5})", {"-5", "-1000000"}, {"-4", "0", "5"}},
      {R"({"type":"integer","minimum":0.5,"maximum":2.5})", {"1", "2"}, {"0", "3"}},
      {R"({"type":"integer","minimum":9007199254740993})", {"9007199254740993"}, {"9007199254740992"}},
      {R"({"type":"integer","format":"int32"})", {"2147483647", "-2147483648"}, {"2147483648", "-2147483649"}},
  });
}

TEST(JsonSchema, NumbersWithinBoundsStayWithin) {
  std::mt19937 random(11);
  for (int round = 0; round < 80; ++round) {
    const int scale = static_cast<int>(random() % 4);
    const double unit = std::pow(10.0, -scale);
    const int a = static_cast<int>(random() % 4000) - 2000, b = a + static_cast<int>(random() % 300);
    const bool open_low = random() % 2 == 0, open_high = random() % 2 == 0;
    nlohmann::ordered_json schema = {{"type", "number"}};
    const double low = std::stod(fmt::format("{:.{}f}", a * unit, scale)),
                 high = std::stod(fmt::format("{:.{}f}", b * unit, scale));
    schema[open_low ? "exclusiveMinimum" : "minimum"] = low, schema[open_high ? "exclusiveMaximum" : "maximum"] = high;
    test::GrammarPtr grammar;
    const std::string refused = refusal([&] { grammar = grammar_from_parsed_json_schema(schema); });
    if (!refused.empty()) {
      EXPECT_TRUE(a == b && (open_low || open_high)) << schema << refused;
      continue;
    }
    const auto inside = [&](double x) { return (open_low ? x > low : x >= low) && (open_high ? x < high : x <= high); };
    for (int value = a - 40; value <= b + 40; ++value) {
      const std::string text = fmt::format("{:.{}f}", value * unit, scale);
      if (text == "-0" || text.find_first_not_of("-0.") == std::string::npos) continue;
      ASSERT_EQ(matches(grammar, text), inside(std::stod(text))) << schema << " " << text;
    }
    for (int i = 0; i < 30; ++i) {
      bool ended = false;
      const std::string text = test::random_text(grammar, random, 40, &ended);
      ASSERT_TRUE(ended && inside(std::stod(text))) << schema << " " << text;
    }
  }
  expect_cases({
      {R"({"type":"number","minimum":0,"maximum":1})", {"0", "0.75", "1", "1.0", "0.0"}, {"1.01", "-0.1", "2", "1e-1"}},
      {R"({"type":"number","exclusiveMinimum":0})", {"0.01", "5", "99.5"}, {"0", "0.0", "-1"}},
      {R"({"type":"number","minimum":-90,"maximum":90})", {"-90", "-89.999", "0", "45.5", "90.0"}, {"90.1", "-90.5", "-0"}},
      {R"({"type":"number","minimum":0,"exclusiveMinimum":true})", {"0.5"}, {"0"}},
  });
}

TEST(JsonSchema, ReferencesAndCombinations) {
  expect_cases({
      {R"({"$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"]}},"$ref":"#/$defs/node"})",
       {R"({"v":1,"next":{"v":2,"next":null}})"},
       {R"({"v":1})"}},
      {R"({"type":"object","properties":{"children":{"type":"array","items":{"$ref":"#"}}}})",
       {"{}", R"({"children":[{"children":[]},{}]})"},
       {R"({"children":[1]})"}},
      {R"({"definitions":{"a/b~c":{"const":1}},"properties":{"x":{"$ref":"#/definitions/a~1b~0c"}},"required":["x"]})",
       {R"({"x":1})"},
       {R"({"x":2})"}},
      {R"({"oneOf":[{"type":"string"},{"type":"integer"}]})", {R"("a")", "1"}, {"null"}},
      {R"({"oneOf":[{"type":"object","properties":{"kind":{"const":"a"},"x":{"type":"integer"}},"required":["kind","x"]},{"type":"object","properties":{"kind":{"enum":["b","c"]}},"required":["kind"]}]})",
       {R"({"kind":"a","x":1})", R"({"kind":"c"})"},
       {R"({"kind":"c","x":1})", R"({"kind":"a"})"}},
      {R"({"allOf":[{"$ref":"#/$defs/base"},{"type":"object","properties":{"b":{"type":"integer","minimum":3}},"required":["b"]}],"$defs":{"base":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"number","maximum":5}},"required":["a"]}}})",
       {R"({"a":"x","b":3})", R"({"a":"","b":5})"},
       {R"({"b":3})", R"({"a":"x","b":6})", R"({"a":"x"})"}},
      {R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"anyOf":[{"required":["a"]},{"required":["b"]}]})",
       {R"({"a":1})", R"({"b":1})", R"({"a":1,"b":2})"},
       {"{}"}},
      {R"({"allOf":[{"$ref":"#/$defs/s"}],"description":"as Pydantic writes it","$defs":{"s":{"enum":["x"]}}})",
       {R"("x")"},
       {}},
      {R"({"allOf":[{"enum":["a","b"]},{"enum":["b","c"]}]})", {R"("b")"}, {R"("a")", R"("c")"}},
      {R"({"$ref":"#/$defs/n","maximum":4,"$defs":{"n":{"type":"integer","minimum":3}}})", {"3", "4"}, {"2", "5"}},
  });
}

TEST(JsonSchema, RefusalsNameKeywordAndPlace) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"type":"object","properties":{"a":{"type":"integer","multipleOf":3}}})",
       "at #/properties/a: the keyword 'multipleOf' is not supported"},
      {R"({"type":"array","uniqueItems":true})", "'uniqueItems'"},
      {R"({"type":"array","contains":{}})", "'contains'"},
      {R"({"patternProperties":{"^a":{}}})", "'patternProperties'"},
      {R"({"not":{}})", "'not'"},
      {R"({"if":{},"then":{}})", "'if'"},
      {R"({"type":"object","propertyNames":{}})", "'propertyNames'"},
      {R"({"type":"object","minProperties":1})", "'minProperties'"},
      {R"({"type":"string","format":"regex"})", "'format' is 'regex'"},
      {R"({"type":"integer","format":"port"})", "'format' is \"port\""},
      {R"-({"type":"string","pattern":"(?=a)"})-", "'pattern', line 1, character 3: lookahead"},
      {R"({"type":"string","pattern":"a","minLength":3})", "beside a 'pattern'"},
      {R"({"type":"string","minLength":2000})", "'minLength' is 2000, at most 1000"},
      {R"({"type":"string","minLength":-1})", "whole number from 0"},
      {R"({"type":"text"})", "which is no type"},
      {R"({"type":"array","items":3})", "at #/items: a schema is an object or a boolean, not 3"},
      {R"({"$ref":"https://example.com/x"})", "only places in the same schema"},
      {R"({"$ref":"#name"})", "anchors"},
      {R"({"$ref":"#/$defs/x"})", "there is no such place"},
      {R"({"oneOf":[{"type":"integer"},{"type":"number"}]})", "alternatives 0 and 1 of 'oneOf' may both match"},
      {R"({"enum":["a"],"minLength":1})", "'minLength' beside 'enum'"},
      {R"({"allOf":[{"type":"string","pattern":"a"},{"pattern":"b"}]})", "two different 'pattern'"},
      {R"({"type":"number","minimum":1e-11})", "not supported"},
      {R"({"made_up":1})", "the keyword 'made_up' is not supported"},
      {R"({"enum":[]})", "nothing can match: '#'"},
      {"false", "nothing can match"},
      {R"({"type":"object","properties":{"a":{"type":"integer","minimum":5,"maximum":4}},"required":["a"]})",
       "nothing can match: '#/properties/a'"},
      {R"({"type":"string","minLength":5,"maxLength":4})", "nothing can match"},
      {R"({"type":"array","minItems":5,"maxItems":4})", "nothing can match"},
      {R"({"type":"object","properties":{"next":{"$ref":"#"}},"required":["next"]})", "nothing can match"},
      {R"({"$ref":"#"})", "nothing can match"},
      {R"({"anyOf":[{"$ref":"#"},{"type":"null"}]})", "left-recursive"},
      {R"({"allOf":[{"type":"string"},{"type":"integer"}]})", "nothing can match"},
      {R"({"allOf":[{"$ref":"#/allOf/1"},{"$ref":"#/allOf/0"}]})", "deeper than 64"},
      {R"({"type":"object","additionalProperties":false,"required":["x"]})", "nothing can match"},
      {"{\"type\":", "byte 9 is no JSON"},
      {"{\"const\":\"\xff\"}", "is no JSON"},
      {"{\"enum\":[\"" + std::string(70000, 'x') + "\"]}", "at most 65536"},
  };
  for (const auto& [schema, message] : cases)
    EXPECT_THAT(refusal([&] { grammar_from_json_schema(schema); }), HasSubstr(message)) << schema.substr(0, 120);
}

TEST(JsonSchema, HostileOnesAreCompiledOrRefused) {
  std::string deep = "true", list = "1";
  for (int i = 0; i < 5000; ++i) deep = "{\"items\":" + deep + "}", list = "[" + list + "]";
  EXPECT_THAT(refusal([&] { grammar_from_json_schema(deep); }), HasSubstr("nested deeper"));
  EXPECT_THAT(refusal([&] { grammar_from_json_schema("{\"const\":" + list + "}"); }), HasSubstr("nested deeper"));
  std::string bomb = R"({"$ref":"#/$defs/a0","$defs":{)";
  for (int i = 0; i < 40; ++i)
    bomb += fmt::format(
        R"("a{}":{{"type":"array","items":{{"anyOf":[{{"$ref":"#/$defs/a{}"}},{{"$ref":"#/$defs/a{}"}}]}},"minItems":900,"maxItems":1000}},)",
        i, i + 1, i + 1);
  bomb += R"("a40":{"type":"string","maxLength":1000}}})";
  const std::string refused = refusal([&] { grammar_from_json_schema(bomb); });
  EXPECT_TRUE(refused.empty() || refused.find("steps to compile") != std::string::npos) << refused;
  nlohmann::ordered_json wide = {{"type", "object"}, {"properties", nlohmann::ordered_json::object()}};
  for (int i = 0; i < 300; ++i) wide["properties"][fmt::format("property number {}", i)] = {{"type", "integer"}};
  EXPECT_TRUE(matches(grammar_from_parsed_json_schema(wide), R"({"property number 7":1,"property number 299":2})"));
  wide["additionalProperties"] = true;
  EXPECT_TRUE(matches(grammar_from_parsed_json_schema(wide), R"({"property number 7":1,"property number":2})"));
}

// Resident memory in bytes.
std::size_t resident() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0, pages = 0;
  file >> total >> pages;
  return pages * 4096;
}

TEST(JsonSchema, TenThousandDistinctSchemasLeaveMemoryFlat) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer keeps freed memory";
#endif
  const auto compile = [](int i) {
    const auto grammar = grammar_from_json_schema(fmt::format(
        R"({{"type":"object","properties":{{"p{}":{{"type":"integer","maximum":{}}},"s":{{"type":"string","pattern":"^x{}[a-f]*$"}}}},"required":["p{}"]}})",
        i, i, i, i));
    ASSERT_TRUE(matches(grammar, fmt::format(R"({{"p{}":{},"s":"x{}"}})", i, i, i)));
    ASSERT_FALSE(matches(grammar, fmt::format(R"({{"p{}":{}}})", i, i + 1)));
  };
  for (int i = 0; i < 1000; ++i) compile(i);
  const std::size_t before = resident();
  if (before == 0) GTEST_SKIP() << "no /proc/self/statm here";
  for (int i = 1000; i < 10000; ++i) compile(i);
  EXPECT_LT(resident(), before + (8u << 20));
}

std::vector<nlohmann::ordered_json> collection() {
  std::vector<nlohmann::ordered_json> schemas;
  std::ifstream file(std::string(BITNET_SOURCE_DIR) + "/tests/golden/schemas.jsonl");
  for (std::string line; std::getline(file, line);) schemas.push_back(nlohmann::ordered_json::parse(line));
  return schemas;
}

TEST(JsonSchema, RandomTextsOfTheCollectionAreJson) {
  const auto schemas = collection();
  EXPECT_GE(schemas.size(), 100u);
  std::mt19937 random(3);
  for (const auto& entry : schemas) {
    const auto grammar = grammar_from_parsed_json_schema(entry["schema"]);
    for (int i = 0; i < 5; ++i) {
      bool ended = false;
      const std::string text = test::random_text(grammar, random, 4000, &ended);
      if (ended) {
        EXPECT_TRUE(nlohmann::json::accept(text)) << entry["name"] << "\n" << text;
      } else {
        EXPECT_TRUE(test::begins(grammar, text));
      }
    }
  }
}

}  // namespace
}  // namespace bitnet
