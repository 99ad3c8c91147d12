// A parsed template and how it is rendered; the built-in turn format of BitNet 2B-4T.
#include "tokenizers/chat_template.h"

#include "common/error.h"
#include "tokenizers/jinja_interpreter.h"
#include "tokenizers/jinja_parser.h"

namespace bitnet {

struct ChatTemplate::Program {
  jinja::Body body;
};

ChatTemplate::ChatTemplate(std::string_view source, TemplateLimits limits) : limits_(limits) {
  if (source.size() > limits.output_bytes) {
    fail(ErrorKind::bad_model, "chat template: has {} bytes, at most {} are allowed", source.size(), limits.output_bytes);
  }
  auto program = std::make_unique<Program>();
  program->body = jinja::parse(source, limits.depth);
  program_ = std::move(program);
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

std::string ChatTemplate::render(const nlohmann::ordered_json& context) const {
  if (!context.is_object()) fail(ErrorKind::usage, "chat template: the context must be an object");
  jinja::Interpreter interpreter(limits_, jinja::from_json(context, limits_.depth));
  try {
    return interpreter.run(program_->body);
  } catch (const Error& e) {
    throw Error(e.kind(), fmt::format("chat template: line {}: {}", interpreter.line(), e.what()));
  }
}

std::string_view bitnet_2b_template() {
  return "{% for message in messages %}{{ message['role'] | capitalize }}: {{ message['content'] | trim }}<|eot_id|>{% endfor "
         "%}"
         "{% if add_generation_prompt %}Assistant: {% endif %}";
}

}  // namespace bitnet
