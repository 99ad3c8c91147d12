// The lexer, with Jinja's rules for white space around tags.
#include "tokenizers/jinja_lexer.h"

#include <algorithm>

#include "common/utf8.h"
#include "tokenizers/jinja_text.h"

namespace bitnet::jinja {
namespace {

constexpr std::size_t npos = std::string_view::npos;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}

// One kind of newline, and without the last one: what Jinja does before anything else.
std::string normalised(std::string_view source) {
  std::string out;
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : normalised_(normalised(source)), source_(normalised_) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      const std::size_t tag = find_tag(at_);
      put_text(tag);
      if (at_ < source_.size()) lex_tag();
    }
    put(TokenKind::end, "", line_);
    return std::move(tokens_);
  }

 private:
  char peek(std::size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }
  bool next_is(std::string_view text) const { return source_.substr(at_).starts_with(text); }
  void put(TokenKind kind, std::string text, int line) { tokens_.push_back({kind, std::move(text), line}); }
  void advance(std::size_t count) {
    const std::string_view passed = source_.substr(at_, count);
    line_ += static_cast<int>(std::count(passed.begin(), passed.end(), '\n'));
    at_ += passed.size();
  }

  std::size_t find_tag(std::size_t from) const {
    for (std::size_t at = source_.find('{', from); at != npos; at = source_.find('{', at + 1)) {
      const char next = at + 1 < source_.size() ? source_[at + 1] : '\0';
      if (next == '{' || next == '%' || next == '#') return at;
    }
    return source_.size();
  }

  // The text from here to `end`, where a tag or nothing follows; the tags on both sides say what is stripped from it.
  void put_text(std::size_t end) {
    std::string_view text = source_.substr(at_, end - at_);
    const char kind = end + 1 < source_.size() ? source_[end + 1] : '\0',
               mark = end + 2 < source_.size() ? source_[end + 2] : '\0';
    if (strip_next_)
      text = strip_space(text, Side::left);
    else if (trim_next_ && text.starts_with('\n'))
      text.remove_prefix(1);
    if (end < source_.size() && mark == '-') {
      text = strip_space(text, Side::right);
    } else if ((kind == '%' || kind == '#') && mark != '+') {
      text.remove_suffix(std::min(line_indent(end), text.size()));
    }
    const int line = line_;
    advance(end - at_);
    if (!text.empty()) put(TokenKind::text, std::string(text), line);
    strip_next_ = trim_next_ = false;
  }

  // Bytes of white space before a tag that is the first thing on its line; 0 when it is not.
  std::size_t line_indent(std::size_t tag) const {
    const std::string_view text = source_.substr(at_, tag - at_);
    const std::size_t newline = text.rfind('\n');
    if (newline == npos && at_ > 0) return 0;                  // something else on this line comes before
    const std::string_view before = text.substr(newline + 1);  // npos + 1 is 0
    return strip_space(before).empty() ? before.size() : 0;
  }

  void lex_tag() {
    if (next_is("{#")) return lex_comment();
    if (lex_raw()) return;
    const bool block = next_is("{%");
    put(block ? TokenKind::block_begin : TokenKind::output_begin, "", line_);
    const int line = line_;
    advance(2);
    if (peek() == '-' || peek() == '+') advance(1);
    open_.clear();
    while (!lex_tag_end(block, line)) lex_token(line);
  }

  void lex_comment() {
    const std::size_t end = source_.find("#}", at_ + 2);
    if (end == npos) syntax_error(line_, "a comment does not end");
    const char mark = end > at_ + 2 ? source_[end - 1] : '\0';
    strip_next_ = mark == '-';
    trim_next_ = mark != '+';
    advance(end + 2 - at_);
  }

  // The position behind `{% word %}` when it stands at `tag`, with the mark before its end; npos when something else does.
  std::size_t bare_tag(std::size_t tag, std::string_view word, char& mark) const {
    std::size_t at = tag + 2;
    const auto skip_blanks = [&] {
      while (at < source_.size() && is_blank(source_[at])) ++at;
    };
    if (!source_.substr(tag).starts_with("{%")) return npos;
    if (at < source_.size() && (source_[at] == '-' || source_[at] == '+')) ++at;
    skip_blanks();
    if (!source_.substr(at).starts_with(word)) return npos;
    at += word.size();
    skip_blanks();
    mark = at < source_.size() && (source_[at] == '-' || source_[at] == '+') ? source_[at++] : '\0';
    return source_.substr(at).starts_with("%}") ? at + 2 : npos;
  }

  // {% raw %} ... {% endraw %} is text as it stands.
  bool lex_raw() {
    char mark = '\0';
    const std::size_t begin = bare_tag(at_, "raw", mark);
    if (begin == npos) return false;
    const int line = line_;
    advance(begin - at_);
    strip_next_ = mark == '-';
    for (std::size_t tag = source_.find("{%", begin); tag != npos; tag = source_.find("{%", tag + 2)) {
      const std::size_t behind = bare_tag(tag, "endraw", mark);
      if (behind == npos) continue;
      put_text(tag);
      advance(behind - tag);
      strip_next_ = mark == '-';
      trim_next_ = mark != '+';
      return true;
    }
    syntax_error(line, "'raw' has no 'endraw'");
  }

  bool lex_tag_end(bool block, int line) {
    while (at_ < source_.size() && is_blank(peek())) advance(1);
    if (at_ >= source_.size()) syntax_error(line, "a tag does not end");
    const char mark = peek();
    const bool marked = mark == '-' || (block && mark == '+');
    if (source_.substr(at_ + (marked ? 1 : 0)).substr(0, 2) != (block ? "%}" : "}}")) return false;
    if (!open_.empty()) {
      if (!block && open_.back() == '{') return false;  // these braces close dicts
      syntax_error(line_, "'{}' is not closed", open_.back());
    }
    put(block ? TokenKind::block_end : TokenKind::output_end, "", line_);
    advance(marked ? 3 : 2);
    strip_next_ = mark == '-';
    trim_next_ = block && mark != '+';
    return true;
  }

  void lex_token(int tag_line) {
    const char c = peek();
    if (is_name_start(c)) return lex_name();
    if (is_digit(c)) return lex_number();
    if (c == '"' || c == '\'') return lex_string(tag_line);
    for (const std::string_view symbol : {"**", "//", "==", "!=", "<=", ">="}) {
      if (!next_is(symbol)) continue;
      put(TokenKind::symbol, std::string(symbol), line_);
      return advance(2);
    }
    static constexpr std::string_view openers = "([{", closers = ")]}";
    if (std::string_view("+-*/%~<>=()[]{},.:|").find(c) == npos)
      syntax_error(line_, "unexpected character '{}'", printable({&c, 1}));
    if (openers.find(c) != npos) open_ += c;
    if (const std::size_t kind = closers.find(c); kind != npos) {
      if (open_.empty() || open_.back() != openers[kind]) syntax_error(line_, "'{}' closes nothing", c);
      open_.pop_back();
    }
    put(TokenKind::symbol, std::string(1, c), line_);
    advance(1);
  }

  void lex_name() {
    std::size_t size = 1;
    while (is_name_start(peek(size)) || is_digit(peek(size))) ++size;
    put(TokenKind::name, std::string(source_.substr(at_, size)), line_);
    advance(size);
  }

  void lex_number() {
    std::string digits;
    bool real = false;
    const auto take_digits = [&] {
      for (; is_digit(peek()) || (peek() == '_' && is_digit(peek(1))); advance(1)) {
        if (peek() != '_') digits += peek();
      }
    };
    take_digits();
    if (peek() == '.' && is_digit(peek(1)) && !after_dot()) {
      real = true, digits += '.', advance(1);
      take_digits();
    }
    const bool sign = peek(1) == '-' || peek(1) == '+';
    if ((peek() == 'e' || peek() == 'E') && is_digit(peek(sign ? 2 : 1))) {
      real = true, digits += 'e', advance(1);
      if (sign) digits += peek(), advance(1);
      take_digits();
    }
    if (digits.size() > 64) syntax_error(line_, "a number has {} characters, at most 64 are allowed", digits.size());
    put(real ? TokenKind::real : TokenKind::integer, std::move(digits), line_);
  }

  bool after_dot() const { return !tokens_.empty() && tokens_.back().kind == TokenKind::symbol && tokens_.back().text == "."; }

  void lex_string(int tag_line) {
    const char quote = peek();
    const int line = line_;
    std::string text;
    advance(1);
    while (at_ < source_.size() && peek() != quote) {
      if (peek() == '\\') {
        lex_escape(text);
      } else {
        text += peek();
        advance(1);
      }
    }
    if (at_ >= source_.size()) syntax_error(tag_line, "a string does not end");
    advance(1);
    put(TokenKind::string, std::move(text), line);
  }

  void lex_escape(std::string& text) {
    static constexpr std::string_view letters = "\\'\"nrtbfav", meanings = "\\'\"\n\r\t\b\f\a\v";
    const char c = peek(1);
    if (c >= '0' && c <= '7') return lex_numeric_escape(text, 1, 3, 8);
    if (c == 'x' || c == 'u' || c == 'U') return lex_numeric_escape(text, 2, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16);
    if (c == 'N') syntax_error(line_, "escapes with a character's name are not supported");
    if (c == '\n') return advance(2);  // the line goes on
    const std::size_t found = at_ + 1 < source_.size() ? letters.find(c) : npos;
    text += found == npos ? '\\' : meanings[found];  // a backslash before anything else stays, as in Python
    advance(found == npos ? 1 : 2);
  }

  // Up to `digits` octal digits, or exactly `digits` hexadecimal ones.
  void lex_numeric_escape(std::string& text, std::size_t prefix, std::size_t digits, char32_t base) {
    char32_t code = 0;
    std::size_t taken = 0;
    for (; taken < digits; ++taken) {
      const char d = peek(prefix + taken);
      const int value = is_digit(d) ? d - '0' : d >= 'a' && d <= 'f' ? d - 'a' + 10 : d >= 'A' && d <= 'F' ? d - 'A' + 10 : 99;
      if (value >= static_cast<int>(base)) break;
      code = code * base + static_cast<char32_t>(value);
    }
    if (base == 16 && taken < digits) syntax_error(line_, "an escape in a string has fewer than {} digits", digits);
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) syntax_error(line_, "an escape in a string is no character");
    utf8_append(text, code);
    advance(prefix + taken);
  }

  std::string normalised_;
  std::string_view source_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::string open_;                             // brackets open in the current tag
  bool strip_next_ = false, trim_next_ = false;  // what the last tag does to the text behind it: all white space, one newline
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace bitnet::jinja
