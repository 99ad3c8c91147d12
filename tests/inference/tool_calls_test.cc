// Grammars of tool calls: which texts are free, which are calls, and which schemas are refused.
#include "inference/grammar/tool_calls.h"

#include <gmock/gmock.h>

#include "support/grammar_samples.h"

namespace bitnet {
namespace {

using test::begins;
using test::matches;
using test::refusal;
using testing::HasSubstr;
using Schema = nlohmann::ordered_json;

std::vector<ToolSignature> two_tools() {
  return {
      {"add",
       Schema::parse(
           R"({"type":"object","properties":{"a":{"$ref":"#/$defs/n"}},"required":["a"],"$defs":{"n":{"type":"integer"}}})")},
      {"now", nullptr}};
}

const std::string add = R"(<tool_call>{"name": "add", "arguments": {"a": 5}}</tool_call>)";
const std::string now = "<tool_call>\n{\"name\":\"now\",\"arguments\":{}}\n</tool_call>";

TEST(ToolCalls, RequiredOnesStandAloneAndKeepTheirSchemas) {
  const auto grammar = grammar_of_tool_calls(two_tools(), false, 2);
  for (const std::string& text : {add, now, add + "\n" + now, now + add}) EXPECT_TRUE(matches(grammar, text)) << text;
  for (const std::string& text : {std::string(), "Well. " + add, add + add + add, add + " that was it",
                                  std::string(R"(<tool_call>{"name": "add", "arguments": {}}</tool_call>)"),
                                  std::string(R"(<tool_call>{"name": "add", "arguments": {"a": "x"}}</tool_call>)"),
                                  std::string(R"(<tool_call>{"name": "now", "arguments": {"a": 5}}</tool_call>)"),
                                  std::string(R"(<tool_call>{"name": "sub", "arguments": {}}</tool_call>)")})
    EXPECT_FALSE(matches(grammar, text)) << text;
}

TEST(ToolCalls, TextIsFreeUntilTheOpeningTag) {
  const auto grammar = grammar_of_tool_calls(two_tools(), true, 1);
  for (const std::string text :
       {"", "plain text, Grün", "a < b, <<tool, <tool_cal", "<tool_call", "<tool_call <tool_<tool_call"})
    EXPECT_TRUE(matches(grammar, text)) << text;
  EXPECT_TRUE(matches(grammar, "Let me see.\n<<tool_" + add));
  EXPECT_TRUE(matches(grammar, add));
  EXPECT_TRUE(begins(grammar, "so <tool_call>{\"name\": \"a"));
  for (const std::string& text : {std::string("<tool_call>"), std::string("so <tool_call>x"), add + add, add + "x"})
    EXPECT_FALSE(matches(grammar, text)) << text;
  EXPECT_FALSE(begins(grammar, "so <tool_call>x"));
}

TEST(ToolCalls, RefusalsNameTheFunction) {
  const auto refused = [](const char* schema) {
    return refusal([&] { grammar_of_tool_calls(std::vector<ToolSignature>{{"bad_one", Schema::parse(schema)}}, true, 1); });
  };
  EXPECT_THAT(refused(R"({"type":"object","properties":{"x":{"not":{}}}})"),
              HasSubstr("function 'bad_one': JSON schema, at #/properties/x: the keyword 'not'"));
  EXPECT_THAT(refused(R"({"type":"string"})"), HasSubstr("function 'bad_one': the parameters' 'type' is"));
  EXPECT_THAT(refused("[]"), HasSubstr("function 'bad_one': the parameters are not a JSON object"));
}

}  // namespace
}  // namespace bitnet
