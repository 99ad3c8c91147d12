// Chat templates: messages -> prompt text, by the model's own Jinja template or by a named built-in turn format.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace bitnet {

// A template comes out of a model file and is untrusted: these bounds end it with an Error.
struct TemplateLimits {
  std::uint64_t steps = 1'000'000;        // evaluated nodes
  std::uint64_t output_bytes = 4u << 20;  // of the result and of any one intermediate string
  int depth = 64;                         // nesting of syntax and of values; calls: four nodes of the tree for each of these
  std::size_t source_bytes = 256u << 10;
};

// The Jinja subset that published chat templates use, with transformers' settings: trim_blocks, lstrip_blocks, loop controls,
// tojson as Python's json.dumps(ensure_ascii=False), raise_exception, strftime_now. Immutable, safe to share between threads.
class ChatTemplate {
 public:
  // Throws Error{bad_model} with line and fact when the source is not in the subset.
  explicit ChatTemplate(std::string_view source, TemplateLimits limits = {});
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  // `context` is an object: messages, add_generation_prompt, bos_token, eos_token, tools, ...; its order is kept.
  // Throws Error{usage} for raise_exception, for a passed limit and for a type error, with the template's line.
  std::string render(const nlohmann::ordered_json& context) const;

  struct Program;

 private:
  std::unique_ptr<const Program> program_;
  TemplateLimits limits_;
};

// BitNet b1.58 2B-4T's own turns: "System: ...<|eot_id|>User: ...<|eot_id|>Assistant: " (the template in its published GGUF is
// wrong). As Jinja source for ChatTemplate.
std::string_view bitnet_2b_template();

}  // namespace bitnet
