// Answers that hold calls are taken apart alike wherever their text is cut into pieces.
#include "server/tool_call_reader.h"

#include <gmock/gmock.h>

#include <tuple>

namespace bitnet::server {
namespace {

const std::string text = "I < see.\n<tool_";
const std::string calls =
    "<tool_call>{\"name\": \"f\", \"arguments\": "
    "{\"a\":\"}\\\"{\",\"b\":[{}]}}</tool_call>\n<tool_call>\n{\"name\":\"g\",\"arguments\":{}}\n</tool_call>";

ReadAnswer joined(const std::vector<std::string>& pieces, int* ends = nullptr) {
  ToolCallReader reader(true);
  ReadAnswer answer;
  const auto take = [&](const std::vector<AnswerPart>& parts) {
    for (const AnswerPart& part : parts) {
      if (part.kind == AnswerPart::Kind::text) answer.text += part.text;
      if (part.kind == AnswerPart::Kind::call) answer.calls.push_back({part.text, ""});
      if (part.kind == AnswerPart::Kind::arguments) answer.calls.back().arguments += part.text;
      if (part.kind == AnswerPart::Kind::call_end && ends != nullptr) ++*ends;
    }
  };
  for (const std::string& piece : pieces) take(reader.put(piece));
  take(reader.finish());
  return answer;
}

TEST(ToolCallReader, FindsCallsAtEveryCut) {
  const std::string all = text + calls;
  for (std::size_t a = 0; a <= all.size(); ++a) {
    for (std::size_t b = a; b <= all.size(); b += 3) {
      int ends = 0;
      const ReadAnswer answer = joined({all.substr(0, a), all.substr(a, b - a), all.substr(b)}, &ends);
      ASSERT_EQ(answer.text, text) << a << " " << b;
      ASSERT_EQ(answer.calls.size(), 2u);
      ASSERT_EQ(answer.calls[0].name + answer.calls[1].name, "fg");
      ASSERT_EQ(answer.calls[0].arguments, "{\"a\":\"}\\\"{\",\"b\":[{}]}");
      ASSERT_EQ(answer.calls[1].arguments, "{}");
      ASSERT_EQ(ends, 2);
    }
  }
}

TEST(ToolCallReader, GivesWhatThereIsOfACallThatWasCutOff) {
  const ReadAnswer cut = read_answer("<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"x", true);
  ASSERT_EQ(cut.calls.size(), 1u);
  EXPECT_EQ(cut.calls[0].arguments, "{\"a\": \"x");
  EXPECT_TRUE(read_answer("<tool_call>{\"name\": \"f\", \"argu", true).calls.empty());
  EXPECT_EQ(read_answer("a <tool_cal", true).text, "a <tool_cal");
}

TEST(ToolCallReader, ArgumentsAreAnObjectOrNone) {
  EXPECT_EQ(arguments_json("{\"a\":[1]}"), (Json{{"a", Json::array({1})}}));
  EXPECT_EQ(arguments_json("{\"a\":[1"), Json::object());
  EXPECT_EQ(arguments_json("{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}"), Json::object());
}

TEST(ToolCallReader, WithoutToolsAllIsText) {
  EXPECT_EQ(read_answer(text + calls, false).text, text + calls);
  EXPECT_TRUE(read_answer(calls, false).calls.empty());
}

}  // namespace
}  // namespace bitnet::server
