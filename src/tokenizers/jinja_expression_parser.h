// Parses the expressions of a template; the statements' parser stands on it.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizers/jinja_ast.h"
#include "tokenizers/jinja_lexer.h"

namespace bitnet::jinja {

// Walks the tokens of a template. Every method takes what it parses and leaves the token behind it next.
class ExpressionParser {
 public:
  ExpressionParser(std::vector<Token> tokens, int max_depth) : tokens_(std::move(tokens)), max_depth_(max_depth) {}

  // An expression, or several with commas between as a tuple; `with_condition` allows the inline if.
  Node parse_tuple(bool with_condition = true);
  Node parse_expression();
  Node parse_filter_call(Node input);  // NAME or NAME(arguments) behind a bar
  Node parse_filters(Node input);      // any number of | filter, is test and calls

 protected:
  const Token& peek(std::size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  const Token& take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool is_op(std::string_view op, std::size_t ahead = 0) const {
    return peek(ahead).type == TokenType::op && peek(ahead).text == op;
  }
  bool is_name(std::string_view name, std::size_t ahead = 0) const {
    return peek(ahead).type == TokenType::name && peek(ahead).text == name;
  }
  bool skip_op(std::string_view op) { return is_op(op) ? (take(), true) : false; }
  bool skip_name(std::string_view name) { return is_name(name) ? (take(), true) : false; }
  [[noreturn]] void unexpected(std::string_view wanted) const;
  void expect_op(std::string_view op);
  std::string expect_identifier();

  // Counts open constructs while parsing, so that source cannot exhaust the stack.
  class Nesting {
   public:
    explicit Nesting(ExpressionParser& parser);
    ~Nesting() { --parser_.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    ExpressionParser& parser_;
  };

  Node node(Op op, int line, std::vector<Node> children = {}, std::string text = {});

 private:
  struct Binary {
    std::string_view symbol;
    Op op;
  };

  void deepen(Expression& parent, const Node& child) const;
  Node literal(int line, Value value);
  Node parse_or();
  Node parse_and();
  Node parse_not();
  Node parse_compare();
  template <std::size_t n>
  Node parse_binary(const Binary (&operators)[n], Node (ExpressionParser::*operand)());
  Node parse_sum();
  Node parse_concat();
  Node parse_product();
  Node parse_power();
  Node parse_unary_with_filters();
  Node parse_unary();
  Node parse_primary();
  Node parse_name();
  std::vector<Node> parse_items(std::string_view close);
  Node parse_dict(int line);
  Node parse_postfix(Node object);
  Node parse_subscript(Node object, int line);
  Node parse_arguments(Op op, Node object, std::string text);
  Node parse_test(Node input);

  std::vector<Token> tokens_;
  int max_depth_, nesting_ = 0;
  std::size_t at_ = 0;
};

}  // namespace bitnet::jinja
