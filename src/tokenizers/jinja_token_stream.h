// The tokens of a template as the two parsers take them, with a bound on how deep they may nest.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizers/jinja_lexer.h"

namespace bitnet::jinja {

class TokenStream {
 public:
  // `tokens` ends with TokenKind::end.
  TokenStream(std::vector<Token> tokens, int max_depth) : tokens_(std::move(tokens)), max_depth_(max_depth) {}

  const Token& peek(std::size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  bool at(TokenKind kind) const { return peek().kind == kind; }
  bool at_symbol(std::string_view text, std::size_t ahead = 0) const { return is(TokenKind::symbol, text, ahead); }
  bool at_name(std::string_view text, std::size_t ahead = 0) const { return is(TokenKind::name, text, ahead); }
  const Token& take() { return at_ + 1 < tokens_.size() ? tokens_[at_++] : tokens_.back(); }
  bool skip_symbol(std::string_view text) { return at_symbol(text) && (take(), true); }
  bool skip_name(std::string_view text) { return at_name(text) && (take(), true); }

  [[noreturn]] void unexpected(std::string_view wanted) const {
    const Token& t = peek();
    const bool ends_tag = t.kind == TokenKind::block_end || t.kind == TokenKind::output_end;
    const std::string found = t.kind == TokenKind::end ? "the end of the template"
                              : ends_tag               ? "the end of the tag"
                                                       : fmt::format("'{}'", printable(t.text));
    syntax_error(t.line, "expected {}, found {}", wanted, found);
  }
  void expect_symbol(std::string_view text) {
    if (!skip_symbol(text)) unexpected(fmt::format("'{}'", text));
  }
  void expect_name(std::string_view text) {
    if (!skip_name(text)) unexpected(fmt::format("'{}'", text));
  }
  std::string expect_identifier() {
    if (!at(TokenKind::name)) unexpected("a name");
    return take().text;
  }
  void expect_end_of_block() {
    if (!at(TokenKind::block_end)) unexpected("the end of the tag");
    take();
  }

  int max_depth() const { return max_depth_; }

  // One more construct open, for the guard's lifetime: so no source exhausts the stack.
  class Nesting {
   public:
    explicit Nesting(TokenStream& stream) : stream_(stream) {
      if (++stream.nesting_ > stream.max_depth_) syntax_error(stream.peek().line, "nested deeper than {}", stream.max_depth_);
    }
    ~Nesting() { --stream_.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    TokenStream& stream_;
  };

 private:
  bool is(TokenKind kind, std::string_view text, std::size_t ahead) const {
    return peek(ahead).kind == kind && peek(ahead).text == text;
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int max_depth_, nesting_ = 0;
};

}  // namespace bitnet::jinja
