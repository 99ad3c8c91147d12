// ExpressionParser: from the tokens of one tag to the tree of its expression.
#pragma once

#include <string>
#include <string_view>

#include "tokenizers/jinja_ast.h"
#include "tokenizers/jinja_token_stream.h"

namespace bitnet::jinja {

// Takes expressions off a stream it shares with the parser of statements. Throws Error{bad_model} for what is none, for filters
// and tests that do not exist, and for trees deeper than the stream's bound.
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  Node expression();
  // One expression, or several with commas between as a tuple; without `conditional` an `if` ends it.
  Node expressions(bool conditional = true);
  // `name(arguments)|...` over the text of a block (a null input).
  Node block_filters();

 private:
  Node make(ExpressionKind kind, int line, std::vector<Node> children = {}) const;
  Node make(ExpressionKind kind, int line, Node child) const;
  void deepen(Expression& parent, const Node& child) const;
  Node literal(int line, Value value) const;

  Node operation(int lowest_precedence);
  Node negation(int lowest_precedence);
  Node unary(bool with_filters);
  Node primary();
  Node name();
  Node parenthesised();
  Node list();
  Node dict();
  Node postfix(Node object);
  Node dotted(Node object);
  Node bracketed(Node object);
  Node filters_and_tests(Node input);
  Node filter(Node input);
  Node test(Node input);
  void arguments(Expression& call);

  TokenStream& tokens_;
};

}  // namespace bitnet::jinja
