// Conversation: what was said so far, whichever protocol it came in, and the prompt that a model gets of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "inference/engine.h"
#include "server/json_fields.h"
#include "server/tool_use.h"

namespace bitnet::server {

// Messages as chat templates read them: {"role", "content": text}, with role system, user, assistant or tool; an assistant's
// may have "tool_calls": [{"id", "type": "function", "function": {"name", "arguments": object}}], a tool's has "tool_call_id".
struct Conversation {
  static constexpr std::size_t most_messages = 1024;

  Json messages = Json::array();
  ToolUse tools;
  bool continues_last = false;  // the answer goes on with the last message, which is an assistant's
};

// The conversation of OpenAI's fields messages, tools, tool_choice, parallel_tool_calls and vLLM's continue_final_message and
// add_generation_prompt. Images and sound are refused. Throws ApiError naming the field.
Conversation read_conversation(const Fields& fields);

// The text of a string or of a list of parts whose types are text or one of OpenAI's names for it. Throws ApiError.
std::string content_text(const Json& content, const std::string& path);

// A call of a message. `arguments` may be an object or the text of one; throws ApiError naming `path` for anything else.
Json tool_call_json(const std::string& id, const std::string& name, const Json& arguments, const std::string& path);

// The text that the model goes on with. A template that writes <tool_call> itself gets the tools and calls as they are; for
// others, a system text states the tools and how a call is written, and calls and their results become text. A model without a
// template gets the messages as paragraphs. Throws ApiError 400 where the template refuses the messages.
std::string prompt_text(const Conversation& conversation, const Engine& engine);

// Its tokens. Throws ApiError: also 400 "context_length_exceeded" naming `field` when no room is left for an answer.
std::vector<TokenId> prompt_ids(const Conversation& conversation, const Engine& engine, const char* field);

}  // namespace bitnet::server
