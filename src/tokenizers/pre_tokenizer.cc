// Where does each pre-tokenizer expression match? Written by hand, so that no text costs more than linear time.
#include "tokenizers/pre_tokenizer.h"

#include <algorithm>
#include <iterator>
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

enum class Case { lower, ascii, folded };  // which letters a contraction may be written with

// A view of [begin, end) of the characters: what one stage of splitting looks at. Nothing outside exists for it, so that
// "not followed by" is true at its end.
class Scanner {
 public:
  Scanner(const Chars& chars, std::size_t begin, std::size_t end) : chars_(chars), end_(end), space_at_end_(end) {
    while (space_at_end_ > begin && is(space_at_end_ - 1, space)) --space_at_end_;
  }

  std::size_t end() const { return end_; }
  std::size_t space_at_end() const { return space_at_end_; }  // where the white space begins that reaches the end
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
  std::size_t contraction(std::size_t at, Case letter_case) const {
    if (code(at) != U'\'') return at;
    const auto small = [&](std::size_t i) -> char32_t {
      const char32_t c = code(i);
      if (letter_case == Case::folded && c == 0x17f) return U's';  // the long s, by Unicode's case folding
      return letter_case != Case::lower && c >= U'A' && c <= U'Z' ? c + 32 : c;
    };
    const char32_t a = small(at + 1), b = small(at + 2);
    if (a == U's' || a == U't' || a == U'm' || a == U'd') return at + 2;
    if ((a == U'r' || a == U'v') && b == U'e') return at + 3;
    return a == U'l' && b == U'l' ? at + 3 : at;
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
  std::size_t end_, space_at_end_;
};

// Each matcher gives the end of the match that begins at `at`, or `at` when none does.

std::size_t match_gpt2(const Scanner& s, std::size_t at) {
  if (const std::size_t end = s.contraction(at, Case::lower); end > at) return end;
  const std::size_t word = s.code(at) == U' ' ? at + 1 : at;
  for (const std::size_t from : {word, at}) {
    if (s.is(from, letter)) return s.run(from, letter);
    if (s.is(from, number)) return s.run(from, number);
    if (s.other(from, space | letter | number)) return s.run_other(from, space | letter | number);
  }
  return s.white_space(at);
}

std::size_t match_numbers(const Scanner& s, std::size_t at, int most) {
  std::size_t end = at;
  while (most-- > 0 && s.is(end, number)) ++end;
  return end;
}

// What differs between the expressions of llama-3, qwen2 and their like.
struct WordRule {
  int letters;  // classes
  int numbers;  // at most so many in a word
  Case contractions;
};

// ` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`, where `words` are the classes in the first bracket beside \s and
// `tail` is a character that the second has too.
std::size_t match_symbols_or_space(const Scanner& s, std::size_t at, int words, char32_t tail) {
  const std::size_t from = s.code(at) == U' ' ? at + 1 : at;
  if (s.other(from, space | words)) {
    std::size_t end = s.run_other(from, space | words);
    while (s.is(end, newline) || (tail != 0 && s.code(end) == tail)) ++end;
    return end;
  }
  if (const std::size_t end = s.up_to_newline(at); end > at) return end;
  return s.white_space(at);
}

// contraction|[^\r\n\p{L}\p{N}]?letters+|\p{N}{1,numbers}|symbols or space
std::size_t match_words(const Scanner& s, std::size_t at, const WordRule& rule) {
  if (const std::size_t end = s.contraction(at, rule.contractions); end > at) return end;
  if (s.other(at, newline | letter | number) && s.is(at + 1, rule.letters)) return s.run(at + 1, rule.letters);
  if (s.is(at, rule.letters)) return s.run(at, rule.letters);
  if (s.is(at, number)) return match_numbers(s, at, rule.numbers);
  return match_symbols_or_space(s, at, rule.letters | number, 0);
}

// [upper]*[lower]+ from `from`, or [upper]+[lower]* where no lower is needed; `from` when it cannot match.
std::size_t cased_word(const Scanner& s, std::size_t from, bool needs_lower) {
  const std::size_t uppers = s.run(from, upper), lowers = s.run(uppers, lower);
  if (!needs_lower) return uppers > from ? lowers : from;
  if (lowers > uppers) return lowers;
  // Give back until the last given back can also stand for the lower part.
  for (std::size_t i = uppers; i > from; --i) {
    if (s.is(i - 1, lower)) return i;
  }
  return from;
}

std::size_t match_cased_words(const Scanner& s, std::size_t at, int numbers, bool contractions) {
  for (const bool needs_lower : {true, false}) {
    for (const bool prefix : {true, false}) {
      if (prefix && !s.other(at, newline | letter | number)) continue;
      const std::size_t from = prefix ? at + 1 : at, end = cased_word(s, from, needs_lower);
      if (end > from) return contractions ? s.contraction(end, Case::folded) : end;
    }
  }
  if (s.is(at, number)) return match_numbers(s, at, numbers);
  return match_symbols_or_space(s, at, letter | number, U'/');
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

struct CodeRange {
  char32_t first, last;
};

constexpr CodeRange cjk_and_kana_ranges[] = {{0x3040, 0x30ff}, {0x4e00, 0x9fa5}};
constexpr CodeRange cjk_and_hangul_ranges[] = {{0x800, 0x9fa5}, {0xac00, 0xd7ff}};
constexpr CodeRange deepseek_llm_punctuation_ranges[] = {{0x21, 0x2f},     {0x3a, 0x7e},     {0x2018, 0x201f},
                                                         {0x3000, 0x3002}, {0xff01, 0xff0f}, {0xff1a, 0xff5e}};
// The letters with case that the tokenizer of DeepSeek LLM lists one by one, and so knows no others.
constexpr CodeRange deepseek_llm_letter_ranges[] = {
    {0x41, 0x5a},       {0x61, 0x7a},       {0xb5, 0xb5},       {0xc0, 0xd6},       {0xd8, 0xf6},       {0xf8, 0x1ba},
    {0x1bc, 0x1bf},     {0x1c4, 0x293},     {0x295, 0x2af},     {0x370, 0x373},     {0x376, 0x377},     {0x37b, 0x37d},
    {0x37f, 0x37f},     {0x386, 0x386},     {0x388, 0x38a},     {0x38c, 0x38c},     {0x38e, 0x3a1},     {0x3a3, 0x3f5},
    {0x3f7, 0x481},     {0x48a, 0x52f},     {0x531, 0x556},     {0x10a0, 0x10c5},   {0x13a0, 0x13f5},   {0x13f8, 0x13fd},
    {0x1c90, 0x1cba},   {0x1cbd, 0x1cbf},   {0x1d00, 0x1d2b},   {0x1d6b, 0x1d77},   {0x1d79, 0x1d9a},   {0x1e00, 0x1f15},
    {0x1f18, 0x1f1d},   {0x1f20, 0x1f45},   {0x1f48, 0x1f4d},   {0x1f50, 0x1f57},   {0x1f59, 0x1f59},   {0x1f5b, 0x1f5b},
    {0x1f5d, 0x1f5d},   {0x1f5f, 0x1f7d},   {0x1f80, 0x1fb4},   {0x1fb6, 0x1fbc},   {0x1fbe, 0x1fbe},   {0x1fc2, 0x1fc4},
    {0x1fc6, 0x1fcc},   {0x1fd0, 0x1fd3},   {0x1fd6, 0x1fdb},   {0x1fe0, 0x1fec},   {0x1ff2, 0x1ff4},   {0x1ff6, 0x1ffc},
    {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210a, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211d},   {0x2124, 0x2124},
    {0x2126, 0x2126},   {0x2128, 0x2128},   {0x212a, 0x212d},   {0x212f, 0x2134},   {0x2139, 0x2139},   {0x213c, 0x213f},
    {0x2145, 0x2149},   {0x214e, 0x214e},   {0x2183, 0x2184},   {0x2c00, 0x2c7b},   {0x2c7e, 0x2ce4},   {0x2ceb, 0x2cee},
    {0x2cf2, 0x2cf3},   {0xa640, 0xa66d},   {0xa680, 0xa69b},   {0xa722, 0xa76f},   {0xa771, 0xa787},   {0xa78b, 0xa78e},
    {0xab70, 0xabbf},   {0xfb00, 0xfb06},   {0xfb13, 0xfb17},   {0xff21, 0xff3a},   {0xff41, 0xff5a},   {0x10400, 0x1044f},
    {0x104b0, 0x104d3}, {0x104d8, 0x104fb}, {0x10c80, 0x10cb2}, {0x10cc0, 0x10cf2}, {0x118a0, 0x118df}, {0x1e900, 0x1e943}};

// [ranges]+
template <std::size_t size>
std::size_t run_of(const Scanner& s, std::size_t at, const CodeRange (&ranges)[size]) {
  const auto inside = [&](char32_t code) {
    const auto* range = std::find_if(std::begin(ranges), std::end(ranges), [&](const CodeRange& r) { return code <= r.last; });
    return range != std::end(ranges) && range->first <= code;
  };
  while (inside(s.code(at))) ++at;
  return at;
}

// \s?X+, where run(at) gives the end of X+ from `at`.
template <class Run>
std::size_t match_spaced(const Scanner& s, std::size_t at, const Run& run) {
  if (s.is(at, space)) {
    if (const std::size_t end = run(at + 1); end > at + 1) return end;
  }
  return run(at);
}

std::size_t match(SplitRule rule, const Scanner& s, std::size_t at) {
  switch (rule) {
    case SplitRule::gpt2:
      return match_gpt2(s, at);
    case SplitRule::llama3:
      return match_words(s, at, {.letters = letter, .numbers = 3, .contractions = Case::folded});
    case SplitRule::cl100k:
      return match_words(s, at, {.letters = letter, .numbers = 3, .contractions = Case::ascii});
    case SplitRule::qwen2:
      return match_words(s, at, {.letters = letter, .numbers = 1, .contractions = Case::folded});
    case SplitRule::qwen35:
      return match_words(s, at, {.letters = letter | mark, .numbers = 1, .contractions = Case::folded});
    case SplitRule::o200k:
      return match_cased_words(s, at, 3, true);
    case SplitRule::tekken:
      return match_cased_words(s, at, 1, false);
    case SplitRule::deepseek_v3:
      return match_deepseek_v3(s, at);
    case SplitRule::deepseek_coder_letters:
      return match_spaced(s, at, [&](std::size_t from) { return s.run(from, letter); });
    case SplitRule::deepseek_coder_punctuation:
      return match_spaced(s, at, [&](std::size_t from) { return s.run(from, punctuation); });
    case SplitRule::deepseek_llm_letters:
      return match_spaced(s, at, [&](std::size_t from) { return run_of(s, from, deepseek_llm_letter_ranges); });
    case SplitRule::deepseek_llm_punctuation:
      return match_spaced(s, at, [&](std::size_t from) { return run_of(s, from, deepseek_llm_punctuation_ranges); });
    case SplitRule::one_number:
      return match_numbers(s, at, 1);
    case SplitRule::three_numbers:
      return match_numbers(s, at, 3);
    case SplitRule::numbers:
      return s.run(at, number);
    case SplitRule::newline:
      return s.is(at, newline) ? at + 1 : at;
    case SplitRule::space_at_end:
      return at >= s.space_at_end() ? s.end() : at;
    case SplitRule::cjk_and_kana:
      return run_of(s, at, cjk_and_kana_ranges);
    case SplitRule::cjk_and_hangul:
      return run_of(s, at, cjk_and_hangul_ranges);
  }
  return at;
}

using Part = std::pair<std::size_t, std::size_t>;

std::vector<Part> apply(SplitRule rule, const Chars& chars, const std::vector<Part>& parts) {
  std::vector<Part> out;
  for (const auto& [begin, end] : parts) {
    const Scanner scanner(chars, begin, end);
    std::size_t gap = begin;
    for (std::size_t at = begin; at < end;) {
      const std::size_t stop = match(rule, scanner, at);
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

}  // namespace

void pre_tokenize(const PreTokenizer& rules, std::string_view text, const std::function<void(std::string_view)>& word) {
  if (text.empty()) return;
  const Chars chars(text);
  std::vector<Part> parts = {{0, chars.codes.size()}};
  for (const SplitRule rule : rules) parts = apply(rule, chars, parts);
  for (const auto& [begin, end] : parts) {
    word(text.substr(chars.offsets[begin], chars.offsets[end] - chars.offsets[begin]));
  }
}

}  // namespace bitnet
