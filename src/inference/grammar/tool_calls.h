// Texts that call functions: what they may look like, as a grammar.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "inference/grammar/grammar.h"

namespace bitnet {

// A call is written as <tool_call>{"name": "NAME", "arguments": {...}}</tool_call>, with at most a line break inside of either
// tag: what models of the Hermes and Qwen families learn, and what others can be told in one sentence.
inline constexpr std::string_view tool_call_open = "<tool_call>", tool_call_close = "</tool_call>";

struct ToolSignature {
  std::string name;                   // letters, digits, '_', '-' and '.'
  nlohmann::ordered_json parameters;  // a JSON Schema of the arguments, which are an object; null: there are none
};

// Texts of 1 to `most` calls of these functions, one a line; with `text_first` also text that holds no opening tag, with or
// without calls behind it. Throws Error{usage} naming the function whose schema is malformed, unsupported, or no object's.
std::shared_ptr<const Grammar> grammar_of_tool_calls(std::span<const ToolSignature> tools, bool text_first, std::int64_t most);

}  // namespace bitnet
