// By which names and regular expressions are the pre-tokenizers known?
#include <algorithm>
#include <iterator>
#include <string>

#include "common/error.h"
#include "tokenizers/pre_tokenizer.h"

namespace bitnet {
namespace {

enum class Family : std::uint8_t {
  gpt2,
  llama3,
  llama3_by_merges,
  cl100k,
  qwen2,
  qwen2_as_it_is,
  qwen35,
  smollm,
  o200k,
  tekken,
  deepseek_v3,
  deepseek_coder,
  deepseek_llm,
};

PreTokenizerFamily describe(Family family) {
  using R = SplitRule;
  switch (family) {
    case Family::gpt2:
      return {.rules = {R::gpt2}};
    case Family::llama3:
      return {.rules = {R::llama3}, .ignore_merges = true, .add_bos = true};
    case Family::llama3_by_merges:
      return {.rules = {R::llama3}};
    case Family::cl100k:
      return {.rules = {R::cl100k}, .ignore_merges = true};
    case Family::qwen2:
      return {.rules = {R::qwen2}, .nfc = true};
    case Family::qwen2_as_it_is:
      return {.rules = {R::qwen2}};
    case Family::qwen35:
      return {.rules = {R::qwen35}, .nfc = true};
    case Family::smollm:
      return {.rules = {R::one_number, R::gpt2}};
    case Family::o200k:
      return {.rules = {R::o200k}};
    case Family::tekken:
      return {.rules = {R::tekken}, .ignore_merges = true, .add_bos = true};
    case Family::deepseek_v3:
      return {.rules = {R::three_numbers, R::cjk_and_kana, R::deepseek_v3}};
    case Family::deepseek_coder:
      return {
          .rules = {R::newline, R::deepseek_coder_letters, R::deepseek_coder_punctuation, R::cjk_and_hangul, R::one_number}};
    case Family::deepseek_llm:
      return {.rules = {R::newline, R::deepseek_llm_letters, R::deepseek_llm_punctuation, R::space_at_end, R::cjk_and_hangul,
                        R::one_number}};
  }
  return {};
}

struct Name {
  std::string_view name;
  Family family;
};

// Those of llama.cpp's converter, and spellings seen in files of other converters.
constexpr Name names[] = {
    {"gpt-2", Family::gpt2},
    {"gpt2", Family::gpt2},
    {"phi-2", Family::gpt2},
    {"mpt", Family::gpt2},
    {"olmo", Family::gpt2},
    {"jais", Family::gpt2},
    {"gigachat", Family::gpt2},
    {"exaone4", Family::gpt2},
    {"trillion", Family::gpt2},
    {"granite-docling", Family::gpt2},
    {"llama-bpe", Family::llama3},
    {"llama3", Family::llama3},
    {"llama-v3", Family::llama3},
    {"falcon3", Family::llama3},
    {"falcon-h1", Family::llama3},
    {"falcon-e", Family::llama3},
    {"falcon_e", Family::llama3},
    {"pixtral", Family::llama3},
    {"midm-2.0", Family::llama3},
    {"lfm2", Family::llama3},
    {"smaug-bpe", Family::llama3_by_merges},
    {"dbrx", Family::llama3_by_merges},
    {"glm4", Family::llama3_by_merges},
    {"chatglm-bpe", Family::llama3_by_merges},
    {"cl100k", Family::cl100k},
    {"qwen2", Family::qwen2},
    {"qwen3", Family::qwen2},
    {"deepseek-r1-qwen", Family::qwen2},
    {"stablelm2", Family::qwen2},
    {"megrez", Family::qwen2_as_it_is},
    {"hunyuan", Family::qwen2_as_it_is},
    {"qwen35", Family::qwen35},
    {"smollm", Family::smollm},
    {"starcoder", Family::smollm},
    {"refact", Family::smollm},
    {"command-r", Family::smollm},
    {"codeshell", Family::smollm},
    {"exaone", Family::smollm},
    {"minerva-7b", Family::smollm},
    {"gpt-4o", Family::o200k},
    {"o200k", Family::o200k},
    {"llama4", Family::o200k},
    {"kanana2", Family::o200k},
    {"tekken", Family::tekken},
    {"deepseek-v3", Family::deepseek_v3},
    {"hunyuan-dense", Family::deepseek_v3},
    {"deepseek-coder", Family::deepseek_coder},
    {"deepseek-llm", Family::deepseek_llm},
};

struct Regex {
  std::string_view text;
  SplitRule rule;
};

// As published tokenizer.json files write them; those that begin with contractions in any case are further down.
constexpr Regex whole_regexes[] = {
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", SplitRule::gpt2},
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))", SplitRule::gpt2},
    {R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", SplitRule::gpt2},
    {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
     R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
     R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     SplitRule::o200k},
    {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
     R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
     R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     SplitRule::tekken},
    {R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
     R"( ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     SplitRule::deepseek_v3},
    {R"(\s?\p{L}+)", SplitRule::deepseek_coder_letters},
    {R"(\s?\p{P}+)", SplitRule::deepseek_coder_punctuation},
    {R"(\p{N}{1,3})", SplitRule::three_numbers},
    {R"(\p{N}+)", SplitRule::numbers},
    {R"(\p{N})", SplitRule::one_number},
    {R"([\r\n])", SplitRule::newline},
    {"[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", SplitRule::cjk_and_kana},
    {"[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", SplitRule::cjk_and_hangul},
};

constexpr std::string_view folded_contractions = R"((?i:'s|'t|'re|'ve|'m|'ll|'d))";
constexpr std::string_view ascii_contractions[] = {
    R"(('s|'S|'t|'T|'re|'rE|'Re|'RE|'ve|'vE|'Ve|'VE|'m|'M|'ll|'lL|'Ll|'LL|'d|'D))",
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]))",
};
constexpr std::string_view three_digits =
    R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr Regex behind_folded[] = {
    {three_digits, SplitRule::llama3},
    {R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)", SplitRule::qwen2},
    {R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)", SplitRule::qwen35},
};

template <std::size_t size>
std::optional<SplitRule> find(const Regex (&known)[size], std::string_view text) {
  const auto* found = std::find_if(std::begin(known), std::end(known), [&](const Regex& regex) { return regex.text == text; });
  return found == std::end(known) ? std::nullopt : std::optional(found->rule);
}

// Files hold a newline in a class either as itself or as an escape.
std::string with_escapes(std::string_view regex) {
  std::string out;
  for (const char c : regex) out += c == '\r' ? "\\r" : c == '\n' ? "\\n" : std::string(1, c);
  return out;
}

}  // namespace

std::optional<PreTokenizerFamily> pre_tokenizer_by_name(std::string_view name) {
  for (const Name& known : names) {
    if (known.name == name) return describe(known.family);
  }
  return std::nullopt;
}

std::optional<std::string_view> pre_tokenizer_name(const PreTokenizerFamily& family) {
  for (const Name& known : names) {
    const PreTokenizerFamily other = describe(known.family);
    if (other.rules == family.rules && other.nfc == family.nfc && other.ignore_merges == family.ignore_merges)
      return known.name;
  }
  return std::nullopt;
}

std::optional<SplitRule> split_rule_by_regex(std::string_view regex) {
  const std::string escaped = with_escapes(regex);
  const std::string_view text = escaped;
  if (text.starts_with(folded_contractions)) return find(behind_folded, text.substr(folded_contractions.size()));
  for (const std::string_view contractions : ascii_contractions) {
    if (text.starts_with(contractions) && text.substr(contractions.size()) == three_digits) return SplitRule::cl100k;
  }
  return find(whole_regexes, text);
}

std::string regex_of(SplitRule rule) {
  if (rule == SplitRule::cl100k) return std::string(ascii_contractions[1]) + std::string(three_digits);
  for (const Regex& known : behind_folded) {
    if (known.rule == rule) return std::string(folded_contractions) + std::string(known.text);
  }
  for (const Regex& known : whole_regexes) {
    if (known.rule == rule) return std::string(known.text);
  }
  fail(ErrorKind::unsupported, "a pre-tokenizer rule of this vocabulary has no regular expression in tokenizer.json files");
}

bool matches_everything(SplitRule rule) {
  switch (rule) {
    case SplitRule::gpt2:
    case SplitRule::llama3:
    case SplitRule::cl100k:
    case SplitRule::qwen2:
    case SplitRule::qwen35:
    case SplitRule::o200k:
    case SplitRule::tekken:
      return true;
    default:
      return false;
  }
}

}  // namespace bitnet
