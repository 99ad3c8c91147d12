// Functions of a request: read, checked, and made into a grammar.
#include "server/tool_use.h"

#include <algorithm>

#include "inference/grammar/tool_calls.h"

namespace bitnet::server {
namespace {

bool has_tool(const ToolUse& use, const std::string& name) {
  return std::any_of(use.tools.begin(), use.tools.end(), [&](const Tool& tool) { return tool.name == name; });
}

bool is_tool_name(const std::string& name) {
  static constexpr const char* letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
  return !name.empty() && name.size() <= 64 && name.find_first_not_of(letters) == std::string::npos;
}

Tool read_tool(const Fields& fields) {
  const auto name = fields.text("name");
  if (!name) bad_field(fields.name("name"), "is missing");
  const Json* parameters = fields.object("parameters");
  return {*name, fields.text("description").value_or(""), parameters == nullptr ? Json() : *parameters};
}

// The function's own fields, which stand in an inner object or, `flat`, beside the type.
Fields function_of(const Json& entry, const std::string& path, bool flat) {
  const Fields outer(entry, path + ".");
  const auto type = outer.text("type").value_or("function");
  if (type != "function") bad_field(path + ".type", "is '{}', only function is supported", printable(type));
  if (flat) return outer;
  const Json* inner = outer.object("function");
  if (inner == nullptr) bad_field(path + ".function", "is missing");
  return Fields(*inner, path + ".function.");
}

void read_allowed(const Json& value, bool flat, ToolUse& use) {
  const Fields outer(value, "tool_choice.");
  const Json* inner = flat ? &value : outer.object("allowed_tools");
  if (inner == nullptr) bad_field("tool_choice.allowed_tools", "is missing");
  const Fields fields(*inner, flat ? "tool_choice." : "tool_choice.allowed_tools.");
  const auto mode = fields.text("mode").value_or("auto");
  if (mode != "auto" && mode != "required")
    bad_field(fields.name("mode"), "is '{}', allowed are auto and required", printable(mode));
  const Json* tools = fields.array("tools", ToolUse::most_tools);
  if (tools == nullptr || tools->empty()) bad_field(fields.name("tools"), "is missing");
  for (const Json& entry : *tools) {
    const std::string name = function_of(entry, fields.name("tools"), flat).text("name").value_or("");
    if (!has_tool(use, name)) bad_field(fields.name("tools"), "names '{}', which is not among the tools", printable(name));
    use.allowed.push_back(name);
  }
  use.choice = mode == "auto" ? ToolChoice::automatic : ToolChoice::required;
}

void read_choice(const Json& value, bool flat, ToolUse& use) {
  if (!value.is_string()) {
    const auto type = Fields(value, "tool_choice.").text("type").value_or("");
    if (type == "allowed_tools") return read_allowed(value, flat, use);
    const auto name = function_of(value, "tool_choice", flat).text("name");
    if (!name) bad_field("tool_choice", "names no function");
    return require_tool(use, *name, "tool_choice");
  }
  const auto& word = value.get_ref<const std::string&>();
  if (word == "none") {
    use.choice = ToolChoice::none;
  } else if (word == "required") {
    if (use.tools.empty()) bad_field("tool_choice", "is 'required', and there are no tools");
    use.choice = ToolChoice::required;
  } else if (word != "auto") {
    bad_field("tool_choice", "is '{}', allowed are none, auto, required and a function", printable(word));
  }
}

}  // namespace

void add_tool(ToolUse& use, Tool tool, const std::string& path) {
  if (!is_tool_name(tool.name))
    bad_field(path, "is '{}', allowed are 1 to 64 letters, digits, '_', '-' and '.'", printable(tool.name));
  if (has_tool(use, tool.name)) bad_field(path, "is '{}' a second time", tool.name);
  use.tools.push_back(std::move(tool));
}

void require_tool(ToolUse& use, const std::string& name, const std::string& path) {
  if (!has_tool(use, name)) bad_field(path, "names '{}', which is not among the tools", printable(name));
  use.choice = ToolChoice::required, use.allowed = {name}, use.parallel = false;
}

ToolUse read_tools(const Fields& fields, bool flat) {
  ToolUse use;
  if (const Json* list = fields.array("tools", ToolUse::most_tools)) {
    for (std::size_t i = 0; i < list->size(); ++i) {
      const Fields function = function_of((*list)[i], fmt::format("tools[{}]", i), flat);
      add_tool(use, read_tool(function), function.name("name"));
    }
  }
  use.parallel = fields.boolean("parallel_tool_calls").value_or(true);
  if (const Json* choice = fields.find("tool_choice")) read_choice(*choice, flat, use);
  return use;
}

Json tools_json(const ToolUse& use) {
  Json list = Json::array();
  for (const Tool& tool : use.tools) {
    Json parameters = tool.parameters;
    if (parameters.is_null()) parameters = {{"type", "object"}, {"properties", Json::object()}};
    list.push_back(
        {{"type", "function"},
         {"function", {{"name", tool.name}, {"description", tool.description}, {"parameters", std::move(parameters)}}}});
  }
  return list;
}

std::shared_ptr<const Grammar> tool_grammar(const ToolUse& use) {
  std::vector<ToolSignature> signatures;
  for (const Tool& tool : use.tools) {
    const bool may = use.allowed.empty() || std::find(use.allowed.begin(), use.allowed.end(), tool.name) != use.allowed.end();
    if (may) signatures.push_back({tool.name, tool.parameters});
  }
  try {
    return grammar_of_tool_calls(signatures, use.choice == ToolChoice::automatic, use.parallel ? ToolUse::most_calls : 1);
  } catch (const Error& error) {
    throw ApiError(400, "invalid_request_error", fmt::format("tools: {}", error.what()), "invalid_grammar", "tools");
  }
}

}  // namespace bitnet::server
