// Parses chat templates, renders them, and knows the turns of BitNet b1.58 2B-4T.
#include "tokenizers/chat_template.h"

#include "common/error.h"
#include "common/utf8.h"
#include "tokenizers/jinja_interpreter.h"
#include "tokenizers/jinja_parser.h"

namespace bitnet {

struct ChatTemplate::Program {
  jinja::Body body;
};

ChatTemplate::ChatTemplate(std::string_view source, TemplateLimits limits) : limits_(limits) {
  if (source.size() > limits.source_bytes) {
    fail(ErrorKind::bad_model, "chat template: it has {} bytes, at most {} are allowed", source.size(), limits.source_bytes);
  }
  if (!utf8_valid(source)) fail(ErrorKind::bad_model, "chat template: it is not UTF-8");
  program_ = std::make_unique<const Program>(Program{jinja::parse(source, limits.depth)});
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

std::string ChatTemplate::render(const nlohmann::ordered_json& context) const {
  int line = 0;
  try {
    jinja::Interpreter interpreter(limits_, context);
    try {
      return interpreter.run(program_->body);
    } catch (const Error&) {
      line = interpreter.line();
      throw;
    }
  } catch (const Error& error) {
    if (line == 0) fail(error.kind(), "chat template: {}", error.what());
    fail(error.kind(), "chat template: line {}: {}", line, error.what());
  }
}

std::string_view bitnet_2b_template() {
  return R"({%- for message in messages -%}
{{ message.role | capitalize }}: {{ message.content | trim }}<|eot_id|>
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ 'Assistant: ' }}
{%- endif -%})";
}

}  // namespace bitnet
