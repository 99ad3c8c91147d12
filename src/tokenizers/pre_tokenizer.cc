// Hand-written matchers for the published pre-tokenizer expressions.
#include "tokenizers/pre_tokenizer.h"

#include <array>
#include <utility>
#include <vector>

#include "common/utf8.h"
#include "tokenizers/unicode.h"

namespace bitnet {
namespace {

using unicode::Category;

enum Class : std::uint16_t {
  letter = 1,
  number = 2,
  space = 4,
  newline = 8,
  mark = 16,
  punctuation = 32,
  symbol = 64,
  upper = 128,  // Lu Lt Lm Lo M: what a word may begin with
  lower = 256,  // Ll Lm Lo M: what it may go on with
  cjk = 512,    // the ranges that DeepSeek's tokenizers cut out
};

std::uint16_t class_of(char32_t code) {
  const Category c = unicode::category(code);
  std::uint16_t bits = 0;
  if (unicode::between(c, Category::Lu, Category::Lo)) bits |= letter;
  if (unicode::between(c, Category::Nd, Category::No)) bits |= number;
  if (unicode::between(c, Category::Mn, Category::Me)) bits |= mark | upper | lower;
  if (unicode::between(c, Category::Pc, Category::Po)) bits |= punctuation;
  if (unicode::between(c, Category::Sm, Category::So)) bits |= symbol;
  if (c == Category::Lu || c == Category::Lt || c == Category::Lm || c == Category::Lo) bits |= upper;
  if (c == Category::Ll || c == Category::Lm || c == Category::Lo) bits |= lower;
  if (unicode::is_white_space(code)) bits |= space;
  if (code == '\r' || code == '\n') bits |= newline;
  return bits;
}

// The text as scalars with their classes; broken bytes count as U+FFFD and stay one element each.
struct Chars {
  std::vector<char32_t> codes;
  std::vector<std::uint16_t> classes;
  std::vector<std::uint32_t> offsets;  // one more than codes

  explicit Chars(std::string_view text) {
    codes.reserve(text.size()), classes.reserve(text.size()), offsets.reserve(text.size() + 1);
    for (std::size_t at = 0; at < text.size();) {
      const Utf8Char c = utf8_decode(text.substr(at));
      codes.push_back(c.code), classes.push_back(class_of(c.code)), offsets.push_back(static_cast<std::uint32_t>(at));
      at += c.size;
    }
    offsets.push_back(static_cast<std::uint32_t>(text.size()));
  }
};

// A view of [begin, end) of the characters: what one stage of splitting looks at. Nothing outside exists for it, so that
// "not followed by" is true at its end.
class Scanner {
 public:
  Scanner(const Chars& chars, std::size_t end) : chars_(chars), end_(end) {}

  std::size_t end() const { return end_; }
  bool is(std::size_t at, int classes) const { return at < end_ && (chars_.classes[at] & classes) != 0; }
  bool other(std::size_t at, int classes) const { return at < end_ && (chars_.classes[at] & classes) == 0; }
  char32_t code(std::size_t at) const { return at < end_ ? chars_.codes[at] : U'\0'; }
  std::size_t run(std::size_t at, int classes) const {
    while (is(at, classes)) ++at;
    return at;
  }
  std::size_t run_other(std::size_t at, int classes) const {
    while (other(at, classes)) ++at;
    return at;
  }

  // '(s|t|re|ve|m|ll|d); where it ends, or `at` when there is none.
  std::size_t contraction(std::size_t at, bool ignore_case) const {
    if (code(at) != U'\'') return at;
    const auto small = [&](std::size_t i) {
      const char32_t c = code(i);
      return ignore_case && c >= U'A' && c <= U'Z' ? c + 32 : c;
    };
    const char32_t a = small(at + 1), b = small(at + 2);
    if (a == U's' || a == U't') return at + 2;
    if ((a == U'r' || a == U'v') && b == U'e') return at + 3;
    if (a == U'm') return at + 2;
    if (a == U'l' && b == U'l') return at + 3;
    return a == U'd' ? at + 2 : at;
  }

  // \s+(?!\S)|\s+ : a run of white space, all but its last when something follows.
  std::size_t white_space(std::size_t at) const {
    const std::size_t stop = run(at, space);
    return stop < end_ && stop > at + 1 ? stop - 1 : stop;
  }

  // \s*[\r\n]+ : up to the last newline of a run of white space; `at` when there is none.
  std::size_t up_to_newline(std::size_t at) const {
    std::size_t last = at;
    for (std::size_t i = at; is(i, space); ++i) {
      if (is(i, newline)) last = i + 1;
    }
    return last;
  }

 private:
  const Chars& chars_;
  std::size_t end_;
};

// Each matcher gives the end of the match that begins at `at`, or `at` when none does.

std::size_t match_gpt2(const Scanner& s, std::size_t at) {
  if (const std::size_t end = s.contraction(at, false); end > at) return end;
  const std::size_t word = s.code(at) == U' ' ? at + 1 : at;
  for (const std::size_t from : {word, at}) {
    if (s.is(from, letter)) return s.run(from, letter);
    if (s.is(from, number)) return s.run(from, number);
    if (s.other(from, space | letter | number)) return s.run_other(from, space | letter | number);
  }
  return s.white_space(at);
}

// What the expressions of llama-3, qwen2 and o200k end with.
std::size_t match_symbols_or_space(const Scanner& s, std::size_t at, char32_t also_behind) {
  const std::size_t from = s.code(at) == U' ' ? at + 1 : at;
  if (s.other(from, space | letter | number)) {
    std::size_t end = s.run_other(from, space | letter | number);
    while (s.is(end, newline) || (also_behind != 0 && s.code(end) == also_behind)) ++end;
    return end;
  }
  if (const std::size_t end = s.up_to_newline(at); end > at) return end;
  return s.white_space(at);
}

std::size_t match_digits(const Scanner& s, std::size_t at, int most) {
  std::size_t end = at;
  while (most-- > 0 && s.is(end, number)) ++end;
  return end;
}

std::size_t match_llama3_digits(const Scanner& s, std::size_t at, int digits) {
  if (const std::size_t end = s.contraction(at, true); end > at) return end;
  if (s.is(at, letter)) return s.run(at, letter);
  if (s.other(at, newline | letter | number) && s.is(at + 1, letter)) return s.run(at + 1, letter);
  if (s.is(at, number)) return match_digits(s, at, digits);
  return match_symbols_or_space(s, at, 0);
}
std::size_t match_llama3(const Scanner& s, std::size_t at) { return match_llama3_digits(s, at, 3); }
std::size_t match_qwen2(const Scanner& s, std::size_t at) { return match_llama3_digits(s, at, 1); }

// [upper]*[lower]+ from `from`, or [upper]+[lower]* when the first cannot; `from` when neither can.
std::size_t o200k_word(const Scanner& s, std::size_t from, bool needs_lower) {
  const std::size_t uppers = s.run(from, upper), lowers = s.run(uppers, lower);
  if (!needs_lower) return uppers > from ? lowers : from;
  if (lowers > uppers) return lowers;
  // Give back until the last given back can also stand for the lower part.
  for (std::size_t i = uppers; i > from; --i) {
    if (s.is(i - 1, lower)) return i;
  }
  return from;
}

std::size_t match_o200k(const Scanner& s, std::size_t at) {
  for (const bool needs_lower : {true, false}) {
    for (const bool prefix : {true, false}) {
      if (prefix && !s.other(at, newline | letter | number)) continue;
      const std::size_t from = prefix ? at + 1 : at, end = o200k_word(s, from, needs_lower);
      if (end > from) return s.contraction(end, true);
    }
  }
  if (s.is(at, number)) return match_digits(s, at, 3);
  return match_symbols_or_space(s, at, U'/');
}

std::size_t match_number_runs_of_three(const Scanner& s, std::size_t at) { return match_digits(s, at, 3); }
std::size_t match_single_number(const Scanner& s, std::size_t at) { return match_digits(s, at, 1); }

// [U+4E00-U+9FA5 U+3040-U+309F U+30A0-U+30FF]+
std::size_t match_cjk_and_kana(const Scanner& s, std::size_t at) {
  const auto inside = [&](char32_t c) { return (c >= 0x4e00 && c <= 0x9fa5) || (c >= 0x3040 && c <= 0x30ff); };
  while (at < s.end() && inside(s.code(at))) ++at;
  return at;
}

bool is_ascii_letter(char32_t c) { return (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z'); }
bool is_ascii_punctuation(char32_t c) {
  return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
}

std::size_t match_deepseek_v3(const Scanner& s, std::size_t at) {
  if (is_ascii_punctuation(s.code(at)) && is_ascii_letter(s.code(at + 1))) {
    std::size_t end = at + 1;
    while (is_ascii_letter(s.code(end))) ++end;
    return end;
  }
  if (s.other(at, newline | letter | punctuation | symbol) && s.is(at + 1, letter | mark)) return s.run(at + 1, letter | mark);
  if (s.is(at, letter | mark)) return s.run(at, letter | mark);
  const std::size_t from = s.code(at) == U' ' ? at + 1 : at;
  if (s.is(from, punctuation | symbol)) return s.run(s.run(from, punctuation | symbol), newline);
  if (const std::size_t end = s.up_to_newline(at); end > at) return end;
  return s.white_space(at);
}

std::size_t match_newline(const Scanner& s, std::size_t at) { return s.is(at, newline) ? at + 1 : at; }
std::size_t match_spaced(const Scanner& s, std::size_t at, int classes) {
  if (s.is(at, space) && s.is(at + 1, classes)) return s.run(at + 1, classes);
  return s.run(at, classes);
}
std::size_t match_spaced_letters(const Scanner& s, std::size_t at) { return match_spaced(s, at, letter); }
std::size_t match_spaced_punctuation(const Scanner& s, std::size_t at) { return match_spaced(s, at, punctuation); }
std::size_t match_cjk_and_hangul(const Scanner& s, std::size_t at) {
  const auto inside = [&](char32_t c) {
    return (c >= 0x4e00 && c <= 0x9fa5) || (c >= 0x800 && c <= 0x4e00) || (c >= 0xac00 && c <= 0xd7ff);
  };
  while (at < s.end() && inside(s.code(at))) ++at;
  return at;
}

using Matcher = std::size_t (*)(const Scanner&, std::size_t);

// The stages of a pre-tokenizer: each cuts out its matches from every part that the stages before it left.
std::vector<Matcher> stages_of(PreTokenizer kind) {
  switch (kind) {
    case PreTokenizer::whole:
      return {};
    case PreTokenizer::gpt2:
      return {match_gpt2};
    case PreTokenizer::llama3:
      return {match_llama3};
    case PreTokenizer::qwen2:
      return {match_qwen2};
    case PreTokenizer::smollm:
      return {match_single_number, match_gpt2};
    case PreTokenizer::o200k:
      return {match_o200k};
    case PreTokenizer::deepseek_v3:
      return {match_number_runs_of_three, match_cjk_and_kana, match_deepseek_v3};
    case PreTokenizer::deepseek_coder:
      return {match_newline, match_spaced_letters, match_spaced_punctuation, match_cjk_and_hangul, match_single_number};
  }
  return {};
}

using Part = std::pair<std::size_t, std::size_t>;

std::vector<Part> apply(Matcher match, const Chars& chars, const std::vector<Part>& parts) {
  std::vector<Part> out;
  for (const auto& [begin, end] : parts) {
    const Scanner scanner(chars, end);
    std::size_t gap = begin;
    for (std::size_t at = begin; at < end;) {
      const std::size_t stop = match(scanner, at);
      if (stop == at) {
        ++at;
        continue;
      }
      if (gap < at) out.emplace_back(gap, at);
      out.emplace_back(at, stop);
      gap = at = stop;
    }
    if (gap < end) out.emplace_back(gap, end);
  }
  return out;
}

struct Name {
  std::string_view name;
  PreTokenizer kind;
};

constexpr std::array<Name, 27> names = {{
    {"gpt-2", PreTokenizer::gpt2},
    {"gpt2", PreTokenizer::gpt2},
    {"phi-2", PreTokenizer::gpt2},
    {"mpt", PreTokenizer::gpt2},
    {"olmo", PreTokenizer::gpt2},
    {"llama-bpe", PreTokenizer::llama3},
    {"llama3", PreTokenizer::llama3},
    {"llama-v3", PreTokenizer::llama3},
    {"cl100k", PreTokenizer::llama3},
    {"falcon3", PreTokenizer::llama3},
    {"falcon-h1", PreTokenizer::llama3},
    {"falcon-e", PreTokenizer::llama3},
    {"falcon_e", PreTokenizer::llama3},
    {"pixtral", PreTokenizer::llama3},
    {"lfm2", PreTokenizer::llama3},
    {"smaug-bpe", PreTokenizer::llama3},
    {"dbrx", PreTokenizer::llama3},
    {"qwen2", PreTokenizer::qwen2},
    {"qwen3", PreTokenizer::qwen2},
    {"deepseek-r1-qwen", PreTokenizer::qwen2},
    {"stablelm2", PreTokenizer::qwen2},
    {"smollm", PreTokenizer::smollm},
    {"gpt-4o", PreTokenizer::o200k},
    {"o200k", PreTokenizer::o200k},
    {"llama4", PreTokenizer::o200k},
    {"deepseek-v3", PreTokenizer::deepseek_v3},
    {"deepseek-coder", PreTokenizer::deepseek_coder},
}};

// The expressions as published tokenizer.json files write them.
constexpr std::string_view contractions_any_case =
                               R"(('s|'S|'t|'T|'re|'rE|'Re|'RE|'ve|'vE|'Ve|'VE|'m|'M|'ll|'lL|'Ll|'LL|'d|'D))",
                           contractions_folded = R"((?i:'s|'t|'re|'ve|'m|'ll|'d))";
constexpr std::string_view gpt2_regex = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view gpt2_regex_grouped = R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view llama3_rest =
    R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view qwen2_rest = R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view o200k_regex =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

}  // namespace

std::optional<PreTokenizer> pre_tokenizer_by_name(std::string_view name) {
  for (const Name& known : names) {
    if (known.name == name) return known.kind;
  }
  return std::nullopt;
}

std::optional<PreTokenizer> pre_tokenizer_by_regex(std::string_view regex) {
  if (regex == gpt2_regex || regex == gpt2_regex_grouped) return PreTokenizer::gpt2;
  if (regex == o200k_regex) return PreTokenizer::o200k;
  for (const std::string_view contractions : {contractions_any_case, contractions_folded}) {
    if (!regex.starts_with(contractions)) continue;
    if (regex.substr(contractions.size()) == llama3_rest) return PreTokenizer::llama3;
    if (regex.substr(contractions.size()) == qwen2_rest) return PreTokenizer::qwen2;
  }
  return std::nullopt;
}

void pre_tokenize(PreTokenizer kind, std::string_view text, const std::function<void(std::string_view)>& word) {
  if (text.empty()) return;
  const Chars chars(text);
  std::vector<Part> parts = {{0, chars.codes.size()}};
  for (const Matcher match : stages_of(kind)) parts = apply(match, chars, parts);
  for (const auto& [begin, end] : parts) word(text.substr(chars.offsets[begin], chars.offsets[end] - chars.offsets[begin]));
}

}  // namespace bitnet
