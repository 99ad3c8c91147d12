// A walk along <tool_call>{"name": "NAME", "arguments": {...}}</tool_call>, whose form the grammar has made sure of.
#include "server/tool_call_reader.h"

#include <algorithm>
#include <utility>

#include "inference/grammar/tool_calls.h"
#include "server/json_fields.h"

namespace bitnet::server {

std::vector<AnswerPart> ToolCallReader::put(std::string_view piece) {
  std::vector<AnswerPart> out;
  held_ += piece;
  while (advance(out)) {
  }
  return out;
}

std::vector<AnswerPart> ToolCallReader::finish() {
  std::vector<AnswerPart> out;
  if (place_ == Place::text && !held_.empty()) out.push_back({AnswerPart::Kind::text, std::move(held_)});
  held_.clear();
  return out;
}

// One step; false when more text is needed.
bool ToolCallReader::advance(std::vector<AnswerPart>& out) {
  switch (place_) {
    case Place::text:
      return read_text(out);
    case Place::head:
      return read_head(out);
    case Place::arguments:
      return read_arguments(out);
    case Place::tail:
      if (!skip_behind(tool_call_close)) return false;
      out.push_back({AnswerPart::Kind::call_end});
      place_ = Place::between;
      return true;
    case Place::between:
      if (!skip_behind(tool_call_open)) return false;
      place_ = Place::head;
      return true;
  }
  return false;
}

bool ToolCallReader::read_text(std::vector<AnswerPart>& out) {
  const std::size_t found = calls_ ? held_.find(tool_call_open) : std::string::npos;
  std::size_t safe = found == std::string::npos ? held_.size() : found;
  if (calls_ && found == std::string::npos) {
    // The longest tail that may be the beginning of a tag stays.
    const std::size_t longest = std::min(held_.size(), tool_call_open.size() - 1);
    for (std::size_t tail = longest; tail > 0 && safe == held_.size(); --tail) {
      if (held_.ends_with(tool_call_open.substr(0, tail))) safe = held_.size() - tail;
    }
  }
  if (safe > 0) out.push_back({AnswerPart::Kind::text, held_.substr(0, safe)});
  if (found == std::string::npos) {
    held_.erase(0, safe);
    return false;
  }
  held_.erase(0, found + tool_call_open.size());
  place_ = Place::head;
  return true;
}

// Names hold no quotes, so neither marker is found within one.
bool ToolCallReader::read_head(std::vector<AnswerPart>& out) {
  static constexpr std::string_view name_mark = "\"name\":", arguments_mark = "\"arguments\":";
  const std::size_t name = held_.find(name_mark), arguments = held_.find(arguments_mark);
  if (name == std::string::npos || arguments == std::string::npos) return false;
  const std::size_t open = held_.find('"', name + name_mark.size()), close = held_.find('"', open + 1);
  out.push_back({AnswerPart::Kind::call, held_.substr(open + 1, close - open - 1)});
  held_.erase(0, arguments + arguments_mark.size());
  place_ = Place::arguments, depth_ = 0, in_string_ = escaped_ = false;
  return true;
}

bool ToolCallReader::read_arguments(std::vector<AnswerPart>& out) {
  const std::size_t start = depth_ == 0 ? std::min(held_.find_first_not_of(" \n"), held_.size()) : 0;
  std::size_t at = start;
  bool whole = false;
  for (; at < held_.size() && !whole; ++at) {
    const char c = held_[at];
    if (in_string_) {
      if (!escaped_ && c == '"') in_string_ = false;
      escaped_ = !escaped_ && c == '\\';
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if (c == '}' || c == ']') {
      whole = --depth_ == 0;
    }
  }
  if (at > start) out.push_back({AnswerPart::Kind::arguments, held_.substr(start, at - start)});
  held_.erase(0, at);
  if (whole) place_ = Place::tail;
  return whole;
}

bool ToolCallReader::skip_behind(std::string_view tag) {
  const std::size_t at = held_.find(tag);
  if (at == std::string::npos) return false;
  held_.erase(0, at + tag.size());
  return true;
}

Json arguments_json(const std::string& arguments) {
  try {
    return parse_json(arguments);
  } catch (const ApiError&) {
    return Json::object();
  }
}

ReadAnswer read_answer(std::string_view text, bool calls) {
  ToolCallReader reader(calls);
  std::vector<AnswerPart> parts = reader.put(text);
  for (AnswerPart& part : reader.finish()) parts.push_back(std::move(part));
  ReadAnswer answer;
  for (const AnswerPart& part : parts) {
    if (part.kind == AnswerPart::Kind::text) answer.text += part.text;
    if (part.kind == AnswerPart::Kind::call) answer.calls.push_back({part.text, ""});
    if (part.kind == AnswerPart::Kind::arguments) answer.calls.back().arguments += part.text;
  }
  return answer;
}

}  // namespace bitnet::server
