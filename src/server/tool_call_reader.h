// ToolCallReader: tells the text of an answer from the calls in it, piece by piece.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/api_error.h"

namespace bitnet::server {

// A step of an answer: some text; or a call: its name, then pieces of its arguments as JSON, then its end.
struct AnswerPart {
  enum class Kind : std::uint8_t { text, call, arguments, call_end } kind = Kind::text;
  std::string text = {};  // of kind `call`: the function's name
};

// Reads what grammar_of_tool_calls lets pass; without `calls` everything is text. Not thread safe.
class ToolCallReader {
 public:
  explicit ToolCallReader(bool calls) : calls_(calls) {}

  // What became certain with this piece of text.
  std::vector<AnswerPart> put(std::string_view piece);
  // What was held back. A call that was cut off before its name was whole is left out.
  std::vector<AnswerPart> finish();

 private:
  enum class Place : std::uint8_t { text, head, arguments, tail, between };
  bool advance(std::vector<AnswerPart>& out);
  bool read_text(std::vector<AnswerPart>& out);
  bool read_head(std::vector<AnswerPart>& out);
  bool read_arguments(std::vector<AnswerPart>& out);
  bool skip_behind(std::string_view tag);

  bool calls_;
  Place place_ = Place::text;
  std::string held_;
  int depth_ = 0;  // of objects and lists of the arguments
  bool in_string_ = false, escaped_ = false;
};

struct ToolCall {
  std::string name, arguments;  // arguments: JSON, cut off where the answer was
};

// A whole answer.
struct ReadAnswer {
  std::string text;
  std::vector<ToolCall> calls;
};
ReadAnswer read_answer(std::string_view text, bool calls);

// A call's arguments as an object; {} where they were cut off, or are nested deeper than requests may be.
Json arguments_json(const std::string& arguments);

}  // namespace bitnet::server
