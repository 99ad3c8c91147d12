// ToolUse: the functions that an answer may call, and how far it is held to do so.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "inference/grammar/grammar.h"
#include "server/json_fields.h"

namespace bitnet::server {

struct Tool {
  std::string name, description;
  Json parameters;  // a JSON Schema; null: none
};

enum class ToolChoice { none, automatic, required };

struct ToolUse {
  static constexpr std::int64_t most_tools = 128, most_calls = 16;  // of a request; of an answer

  std::vector<Tool> tools;
  ToolChoice choice = ToolChoice::automatic;
  std::vector<std::string> allowed;  // the names of those that may be called; empty = all
  bool parallel = true;              // an answer may call more than one

  bool may_call() const { return !tools.empty() && choice != ToolChoice::none; }
};

// Adds a function. Throws ApiError naming `path` for a name that is taken, empty, over 64 characters, or has others than
// letters, digits, '_', '-' and '.'.
void add_tool(ToolUse& use, Tool tool, const std::string& path);

// Only this function, which must be called. Throws ApiError naming `path` when there is none of that name.
void require_tool(ToolUse& use, const std::string& name, const std::string& path);

// OpenAI's fields tools, tool_choice and parallel_tool_calls; with `flat` as the responses API writes them, without the inner
// "function". Throws ApiError.
ToolUse read_tools(const Fields& fields, bool flat);

// As chat templates want them: [{"type": "function", "function": {"name", "description", "parameters"}}].
Json tools_json(const ToolUse& use);

// What an answer that may call must look like. Throws ApiError naming the function whose schema cannot be kept.
std::shared_ptr<const Grammar> tool_grammar(const ToolUse& use);

}  // namespace bitnet::server
