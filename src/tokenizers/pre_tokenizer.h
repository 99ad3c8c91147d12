// Pre-tokenizers: where byte-level BPE cuts text into words that merges never cross.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitnet {

// Each is the exact meaning of a regular expression that models were trained with, matched by hand in linear time.
enum class SplitRule : std::uint8_t {
  gpt2,
  llama3,
  cl100k,  // llama3 whose contractions know ASCII only: U+017F is no s
  qwen2,
  qwen35,
  o200k,
  tekken,
  deepseek_v3,
  deepseek_coder_letters,
  deepseek_coder_punctuation,
  deepseek_llm_letters,
  deepseek_llm_punctuation,
  one_number,     // \p{N}
  three_numbers,  // \p{N}{1,3}
  numbers,        // \p{N}+
  newline,        // [\r\n]
  space_at_end,   // \s+$
  cjk_and_kana,
  cjk_and_hangul,
};

// Rules one after the other: each cuts its matches out of every part that those before it left. Without rules text stays whole.
using PreTokenizer = std::vector<SplitRule>;

// What a GGUF file's tokenizer.ggml.pre implies.
struct PreTokenizerFamily {
  PreTokenizer rules;
  bool nfc = false;            // the family's own tokenizer normalises first
  bool ignore_merges = false;  // a word that is a token is taken whole
  bool add_bos = false;        // where the file does not say
};

// By tokenizer.ggml.pre; nullopt for a name that is not known.
std::optional<PreTokenizerFamily> pre_tokenizer_by_name(std::string_view name);

// The other way: a name that stands for these rules, nfc and ignore_merges; nullopt when there is none.
std::optional<std::string_view> pre_tokenizer_name(const PreTokenizerFamily& family);

// By the regular expression that a tokenizer.json splits by; nullopt for one that is not known.
std::optional<SplitRule> split_rule_by_regex(std::string_view regex);

// The other way: an expression that split_rule_by_regex knows as this rule. Throws Error{unsupported} for one that has none.
std::string regex_of(SplitRule rule);

// Does some match begin at every place where the match before ended, whatever the text?
bool matches_everything(SplitRule rule);

// Calls word(part) for consecutive non-empty parts that together are the text. Broken UTF-8 counts as U+FFFD and is passed on
// as it is.
void pre_tokenize(const PreTokenizer& rules, std::string_view text, const std::function<void(std::string_view)>& word);

}  // namespace bitnet
