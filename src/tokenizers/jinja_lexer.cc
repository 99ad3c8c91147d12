// The lexer, with Jinja's rules for white space.
#include "tokenizers/jinja_lexer.h"

#include <algorithm>

#include "common/error.h"
#include "common/utf8.h"

namespace bitnet::jinja {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalised(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      lex_text();
      if (at_ < source_.size()) lex_tag();
    }
    tokens_.push_back({TokenType::end, "", line_});
    return std::move(tokens_);
  }

 private:
  // One kind of newline, and without the last one: what Jinja does before anything else.
  static std::string normalised(std::string_view source) {
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

  char peek(std::size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }
  bool next_is(std::string_view text) const { return std::string_view(source_).substr(at_).starts_with(text); }
  void advance(std::size_t count) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(at_ + count), '\n'));
    at_ += count;
  }

  // Text up to the next tag; the tag's own marks decide what is stripped from it.
  void lex_text() {
    std::size_t end = at_;
    while (true) {
      end = source_.find('{', end);
      if (end == std::string::npos) end = source_.size();
      if (end >= source_.size() ||
          (end + 1 < source_.size() && std::string_view("{%#").find(source_[end + 1]) != std::string_view::npos))
        break;
      ++end;
    }
    std::string text = source_.substr(at_, end - at_);
    const int line = line_;
    if (trim_next_) {
      text.erase(0, static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_space) - text.begin()));
    } else if (after_block_ && text.starts_with('\n')) {
      text.erase(0, 1);
    }
    const char kind = end + 1 < source_.size() ? source_[end + 1] : '\0',
               mark = end + 2 < source_.size() ? source_[end + 2] : '\0';
    if (mark == '-' && end < source_.size()) {
      while (!text.empty() && is_space(text.back())) text.pop_back();
    } else if ((kind == '%' || kind == '#') && mark != '+') {
      strip_line_start(text, end);
    }
    advance(end - at_);
    if (!text.empty()) tokens_.push_back({TokenType::text, std::move(text), line});
    trim_next_ = after_block_ = false;
  }

  // Removes blanks between the last newline and the tag, when nothing else stands there in the source.
  void strip_line_start(std::string& text, std::size_t tag) const {
    std::size_t start = tag;
    while (start > 0 && (source_[start - 1] == ' ' || source_[start - 1] == '\t')) --start;
    if (start > 0 && source_[start - 1] != '\n') return;
    const std::size_t blanks = std::min(tag - start, text.size());
    text.resize(text.size() - blanks);
  }

  void lex_tag() {
    if (next_is("{#")) return lex_comment();
    const bool block = next_is("{%");
    const int line = line_;
    advance(2);
    if (peek() == '-' || peek() == '+') advance(1);
    if (block && lex_raw(line)) return;
    tokens_.push_back({block ? TokenType::block_begin : TokenType::output_begin, "", line});
    brackets_ = 0;
    while (!lex_tag_end(block)) lex_token(line);
  }

  void lex_comment() {
    const std::size_t end = source_.find("#}", at_ + 2);
    if (end == std::string::npos) syntax_error(line_, "a comment does not end");
    trim_next_ = source_[end - 1] == '-' && end - 1 >= at_ + 2;
    after_block_ = !(source_[end - 1] == '+');
    advance(end + 2 - at_);
  }

  // {% raw %} ... {% endraw %} is text as it stands.
  bool lex_raw(int line) {
    std::size_t i = at_;
    while (i < source_.size() && is_space(source_[i])) ++i;
    if (source_.compare(i, 3, "raw") != 0) return false;
    std::size_t close = source_.find("%}", i);
    if (close == std::string::npos) syntax_error(line, "a block does not end");
    const std::string_view between = std::string_view(source_).substr(i + 3, close - i - 3);
    if (!std::all_of(between.begin(), between.end(), [](char c) { return is_space(c) || c == '-' || c == '+'; })) return false;
    const std::size_t last = source_.find("endraw", close);
    const std::size_t open = last == std::string::npos ? last : source_.rfind("{%", last),
                      after = last == std::string::npos ? last : source_.find("%}", last);
    if (open == std::string::npos || open < close || after == std::string::npos) syntax_error(line, "raw without endraw");
    std::string text = source_.substr(close + 2, open - close - 2);
    if (text.starts_with('\n')) text.erase(0, 1);
    tokens_.push_back({TokenType::text, std::move(text), line});
    advance(after + 2 - at_);
    after_block_ = true;
    return true;
  }

  bool lex_tag_end(bool block) {
    while (at_ < source_.size() && is_space(peek())) advance(1);
    if (at_ >= source_.size()) syntax_error(line_, block ? "a block does not end" : "an output does not end");
    const char mark = peek();
    const bool marked = mark == '-' || mark == '+';
    const std::string_view close = block ? "%}" : "}}";
    if (std::string_view(source_).substr(at_ + (marked ? 1 : 0)).substr(0, 2) != close) return false;
    if (!block && !marked && brackets_ > 0) return false;  // the braces close a dict
    tokens_.push_back({block ? TokenType::block_end : TokenType::output_end, "", line_});
    advance(marked ? 3 : 2);
    trim_next_ = mark == '-';
    after_block_ = block && mark != '+';
    return true;
  }

  void lex_token(int tag_line) {
    const char c = peek();
    if (is_name_start(c)) return lex_name();
    if (is_digit(c)) return lex_number();
    if (c == '"' || c == '\'') return lex_string(tag_line);
    for (const std::string_view op : {"**", "//", "==", "!=", "<=", ">="}) {
      if (!next_is(op)) continue;
      tokens_.push_back({TokenType::op, std::string(op), line_});
      return advance(2);
    }
    if (std::string_view("+-*/%~<>=()[]{},.:|").find(c) == std::string_view::npos)
      syntax_error(line_, fmt::format("unexpected character '{}'", printable(std::string(1, c))));
    if (c == '{' || c == '[' || c == '(') ++brackets_;
    if (c == '}' || c == ']' || c == ')') --brackets_;
    tokens_.push_back({TokenType::op, std::string(1, c), line_});
    advance(1);
  }

  void lex_name() {
    std::size_t end = at_;
    while (end < source_.size() && (is_name_start(source_[end]) || is_digit(source_[end]))) ++end;
    tokens_.push_back({TokenType::name, source_.substr(at_, end - at_), line_});
    advance(end - at_);
  }

  void lex_number() {
    std::string digits;
    bool real = false;
    const auto take = [&] {
      while (is_digit(peek()) || (peek() == '_' && is_digit(peek(1)))) {
        if (peek() != '_') digits += peek();
        advance(1);
      }
    };
    take();
    if (peek() == '.' && is_digit(peek(1))) real = true, digits += '.', advance(1), take();
    if ((peek() == 'e' || peek() == 'E') && (is_digit(peek(1)) || ((peek(1) == '-' || peek(1) == '+') && is_digit(peek(2))))) {
      real = true, digits += 'e', digits += peek(1), advance(2), take();
    }
    if (digits.size() > 64) syntax_error(line_, "a number has more than 64 digits");
    tokens_.push_back({real ? TokenType::real : TokenType::integer, digits, line_});
  }

  void lex_string(int tag_line) {
    const char quote = peek();
    const int line = line_;
    std::string text;
    advance(1);
    while (peek() != quote) {
      if (at_ >= source_.size()) syntax_error(tag_line, "a string does not end");
      if (peek() == '\\') {
        lex_escape(text);
      } else {
        text += peek();
        advance(1);
      }
    }
    advance(1);
    tokens_.push_back({TokenType::string, std::move(text), line});
  }

  void lex_escape(std::string& text) {
    const char c = peek(1);
    static constexpr std::string_view plain = "\\'\"nrtbfav0", meaning = "\\'\"\n\r\t\b\f\a\v\0";
    const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits > 0) {
      char32_t code = 0;
      for (std::size_t i = 0; i < digits; ++i) {
        const char d = peek(2 + i);
        const int value = is_digit(d)            ? d - '0'
                          : d >= 'a' && d <= 'f' ? d - 'a' + 10
                          : d >= 'A' && d <= 'F' ? d - 'A' + 10
                                                 : -1;
        if (value < 0) syntax_error(line_, "a string has a broken escape");
        code = code * 16 + static_cast<char32_t>(value);
      }
      if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) syntax_error(line_, "a string has an escape for no character");
      utf8_append(text, code);
      return advance(2 + digits);
    }
    const std::size_t found = c == '\0' ? std::string_view::npos : plain.find(c);
    if (c == '\n') {
      advance(2);  // a line continued
    } else if (found != std::string_view::npos && (c != '0' || !is_digit(peek(2)))) {
      text += meaning.size() > found ? meaning[found] : '\0';
      advance(2);
    } else {
      text += '\\';  // not an escape: the backslash stays, as in Python
      advance(1);
    }
  }

  std::string source_;
  std::size_t at_ = 0;
  int line_ = 1, brackets_ = 0;
  bool trim_next_ = false, after_block_ = false;
  std::vector<Token> tokens_;
};

}  // namespace

void syntax_error(int line, const std::string& fact) { fail(ErrorKind::bad_model, "chat template: line {}: {}", line, fact); }

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace bitnet::jinja
