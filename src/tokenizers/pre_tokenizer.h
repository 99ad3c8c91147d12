// Pre-tokenizers: where byte-level BPE cuts text into words that merges never cross.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace bitnet {

// Each is the exact meaning of the regular expressions that the model was trained with, matched by hand in linear time.
enum class PreTokenizer { whole, gpt2, llama3, qwen2, smollm, o200k, deepseek_v3, deepseek_coder };

// By GGUF's tokenizer.ggml.pre; nullopt for a name that is not known.
std::optional<PreTokenizer> pre_tokenizer_by_name(std::string_view name);

// By the regular expression that a tokenizer.json splits by; nullopt for one that is not known.
std::optional<PreTokenizer> pre_tokenizer_by_regex(std::string_view regex);

// Calls word(part) for consecutive non-empty parts that together are the text.
void pre_tokenize(PreTokenizer kind, std::string_view text, const std::function<void(std::string_view)>& word);

}  // namespace bitnet
