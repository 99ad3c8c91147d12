// Expressions by the precedence of their operators.
#include "tokenizers/jinja_expression_parser.h"

#include <array>
#include <cstdlib>
#include <optional>

namespace bitnet::jinja {
namespace {

struct Operator {
  std::string_view text;
  int precedence;
  ExpressionKind kind;
  Binary binary;
};

constexpr int or_level = 0, not_level = 2, compare_level = 3;
constexpr std::array<Operator, 18> operators = {{
    {"or", or_level, ExpressionKind::logical_or, {}},
    {"and", 1, ExpressionKind::logical_and, {}},
    {"==", compare_level, ExpressionKind::compare, Binary::equal},
    {"!=", compare_level, ExpressionKind::compare, Binary::not_equal},
    {"<", compare_level, ExpressionKind::compare, Binary::less},
    {"<=", compare_level, ExpressionKind::compare, Binary::less_equal},
    {">", compare_level, ExpressionKind::compare, Binary::greater},
    {">=", compare_level, ExpressionKind::compare, Binary::greater_equal},
    {"in", compare_level, ExpressionKind::compare, Binary::in},
    {"not", compare_level, ExpressionKind::compare, Binary::not_in},  // with "in" behind it
    {"+", 4, ExpressionKind::arithmetic, Binary::add},
    {"-", 4, ExpressionKind::arithmetic, Binary::subtract},
    {"~", 5, ExpressionKind::arithmetic, Binary::concat},
    {"*", 6, ExpressionKind::arithmetic, Binary::multiply},
    {"/", 6, ExpressionKind::arithmetic, Binary::divide},
    {"//", 6, ExpressionKind::arithmetic, Binary::floor_divide},
    {"%", 6, ExpressionKind::arithmetic, Binary::modulo},
    {"**", 7, ExpressionKind::arithmetic, Binary::power},
}};

const Operator* operator_at(const TokenStream& tokens) {
  const Token& token = tokens.peek();
  if (token.kind != TokenKind::symbol && token.kind != TokenKind::name) return nullptr;
  for (const Operator& op : operators) {
    if (op.text != token.text) continue;
    return op.binary == Binary::not_in && !tokens.at_name("in", 1) ? nullptr : &op;
  }
  return nullptr;
}

std::int64_t parse_literal(const Token& token) {
  std::int64_t value = 0;
  for (const char c : token.text) {
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, c - '0', &value)) {
      syntax_error(token.line, "the number {} does not fit 64 bits", token.text);
    }
  }
  return value;
}

}  // namespace

Node ExpressionParser::make(ExpressionKind kind, int line, std::vector<Node> children) const {
  auto made = std::make_unique<Expression>();
  made->kind = kind;
  made->line = line;
  made->children = std::move(children);
  for (const Node& child : made->children) deepen(*made, child);
  return made;
}

Node ExpressionParser::make(ExpressionKind kind, int line, Node child) const {
  std::vector<Node> children;
  children.push_back(std::move(child));
  return make(kind, line, std::move(children));
}

void ExpressionParser::deepen(Expression& parent, const Node& child) const {
  if (child) parent.depth = std::max(parent.depth, child->depth + 1);
  if (parent.depth > tokens_.max_depth()) syntax_error(parent.line, "an expression nested deeper than {}", tokens_.max_depth());
}

Node ExpressionParser::literal(int line, Value value) const {
  Node made = make(ExpressionKind::literal, line);
  made->value = std::move(value);
  return made;
}

Node ExpressionParser::expression() {
  const TokenStream::Nesting nesting(tokens_);
  Node value = operation(or_level);
  while (tokens_.at_name("if")) {
    const int line = tokens_.take().line;
    std::vector<Node> children;
    children.push_back(std::move(value));
    children.push_back(operation(or_level));
    children.push_back(tokens_.skip_name("else") ? expression() : nullptr);
    value = make(ExpressionKind::conditional, line, std::move(children));
  }
  return value;
}

Node ExpressionParser::expressions(bool conditional) {
  const int line = tokens_.peek().line;
  std::vector<Node> items;
  bool tuple = false;
  do {
    const bool ended = tokens_.at(TokenKind::output_end) || tokens_.at(TokenKind::block_end) || tokens_.at_symbol(")");
    if (tuple && ended) break;
    items.push_back(conditional ? expression() : operation(or_level));
  } while (tokens_.skip_symbol(",") && (tuple = true));
  return tuple ? make(ExpressionKind::tuple, line, std::move(items)) : std::move(items[0]);
}

// Operands with operators between them. Those of one precedence become one node, evaluated from left to right.
Node ExpressionParser::operation(int lowest_precedence) {
  Node left = negation(lowest_precedence);
  int chain = -1;  // the precedence of the node `left` that may still grow
  while (const Operator* op = operator_at(tokens_)) {
    if (op->precedence < lowest_precedence) break;
    const int line = tokens_.take().line;
    if (op->binary == Binary::not_in) tokens_.take();
    Node right = operation(op->precedence + 1);
    if (chain != op->precedence) left = make(op->kind, line, std::move(left));
    chain = op->precedence;
    deepen(*left, right);
    left->children.push_back(std::move(right));
    left->operators.push_back(op->binary);
  }
  return left;
}

Node ExpressionParser::negation(int lowest_precedence) {
  if (!tokens_.at_name("not")) return unary(true);
  if (lowest_precedence > not_level) tokens_.unexpected("a value");
  const TokenStream::Nesting nesting(tokens_);
  const int line = tokens_.take().line;
  return make(ExpressionKind::logical_not, line, operation(not_level));
}

Node ExpressionParser::unary(bool with_filters) {
  Node value;
  if (tokens_.at_symbol("-") || tokens_.at_symbol("+")) {
    const TokenStream::Nesting nesting(tokens_);
    const Token sign = tokens_.take();
    value = make(sign.text == "-" ? ExpressionKind::negate : ExpressionKind::plus, sign.line, unary(false));
  } else {
    value = primary();
  }
  value = postfix(std::move(value));
  return with_filters ? filters_and_tests(std::move(value)) : std::move(value);
}

Node ExpressionParser::primary() {
  const int line = tokens_.peek().line;
  switch (tokens_.peek().kind) {
    case TokenKind::name:
      return name();
    case TokenKind::integer:
      return literal(line, Value(parse_literal(tokens_.take())));
    case TokenKind::real:
      return literal(line, Value(std::strtod(tokens_.take().text.c_str(), nullptr)));
    case TokenKind::string: {
      std::string text;
      while (tokens_.at(TokenKind::string)) text += tokens_.take().text;  // neighbours are one string
      return literal(line, Value(std::move(text)));
    }
    default:
      break;
  }
  if (tokens_.at_symbol("(")) return parenthesised();
  if (tokens_.at_symbol("[")) return list();
  if (tokens_.at_symbol("{")) return dict();
  tokens_.unexpected("a value");
}

Node ExpressionParser::name() {
  const Token& token = tokens_.take();
  if (token.text == "true" || token.text == "True") return literal(token.line, Value(true));
  if (token.text == "false" || token.text == "False") return literal(token.line, Value(false));
  if (token.text == "none" || token.text == "None") return literal(token.line, Value::none());
  if (token.text == "varargs" || token.text == "kwargs") syntax_error(token.line, "'{}' is not supported", token.text);
  Node made = make(ExpressionKind::name, token.line);
  made->text = token.text;
  return made;
}

Node ExpressionParser::parenthesised() {
  const int line = tokens_.take().line;
  if (tokens_.skip_symbol(")")) return make(ExpressionKind::tuple, line);
  Node inner = expressions();
  tokens_.expect_symbol(")");
  return inner;
}

Node ExpressionParser::list() {
  const int line = tokens_.take().line;
  std::vector<Node> items;
  while (!tokens_.at_symbol("]")) {
    items.push_back(expression());
    if (!tokens_.skip_symbol(",")) break;
  }
  tokens_.expect_symbol("]");
  return make(ExpressionKind::list, line, std::move(items));
}

Node ExpressionParser::dict() {
  const int line = tokens_.take().line;
  std::vector<Node> items;
  while (!tokens_.at_symbol("}")) {
    items.push_back(expression());
    tokens_.expect_symbol(":");
    items.push_back(expression());
    if (!tokens_.skip_symbol(",")) break;
  }
  tokens_.expect_symbol("}");
  return make(ExpressionKind::dict, line, std::move(items));
}

Node ExpressionParser::postfix(Node object) {
  while (true) {
    if (tokens_.at_symbol(".")) {
      object = dotted(std::move(object));
    } else if (tokens_.at_symbol("[")) {
      object = bracketed(std::move(object));
    } else if (tokens_.at_symbol("(")) {
      object = make(ExpressionKind::call, tokens_.peek().line, std::move(object));
      arguments(*object);
    } else {
      return object;
    }
  }
}

Node ExpressionParser::dotted(Node object) {
  const int line = tokens_.take().line;
  if (!tokens_.at(TokenKind::integer)) {
    object = make(ExpressionKind::attribute, line, std::move(object));
    object->text = tokens_.expect_identifier();
    return object;
  }
  std::vector<Node> children;
  children.push_back(std::move(object));
  children.push_back(literal(line, Value(parse_literal(tokens_.take()))));
  return make(ExpressionKind::subscript, line, std::move(children));
}

Node ExpressionParser::bracketed(Node object) {
  const int line = tokens_.take().line;
  std::vector<Node> parts;
  parts.push_back(std::move(object));
  bool slice = false;
  do {
    slice = slice || parts.size() > 1;
    const bool absent = tokens_.at_symbol(":") || tokens_.at_symbol("]");
    parts.push_back(absent ? nullptr : expression());
  } while (parts.size() < 4 && tokens_.skip_symbol(":"));
  if (!slice && tokens_.at_symbol("]") && parts[1] == nullptr) tokens_.unexpected("a value");
  tokens_.expect_symbol("]");
  if (slice) parts.resize(4);
  return make(slice ? ExpressionKind::slice : ExpressionKind::subscript, line, std::move(parts));
}

void ExpressionParser::arguments(Expression& call) {
  tokens_.expect_symbol("(");
  while (!tokens_.at_symbol(")")) {
    Argument argument;
    if (tokens_.at(TokenKind::name) && tokens_.at_symbol("=", 1)) {
      argument.name = tokens_.take().text;
      tokens_.take();
    } else if (!call.arguments.empty() && !call.arguments.back().name.empty()) {
      syntax_error(tokens_.peek().line, "an argument without a name stands behind one with a name");
    }
    argument.value = expression();
    deepen(call, argument.value);
    call.arguments.push_back(std::move(argument));
    if (!tokens_.skip_symbol(",")) break;
  }
  tokens_.expect_symbol(")");
}

Node ExpressionParser::filters_and_tests(Node input) {
  while (true) {
    if (tokens_.skip_symbol("|")) {
      input = filter(std::move(input));
    } else if (tokens_.skip_name("is")) {
      input = test(std::move(input));
    } else if (tokens_.at_symbol("(")) {
      input = make(ExpressionKind::call, tokens_.peek().line, std::move(input));
      arguments(*input);
    } else {
      return input;
    }
  }
}

Node ExpressionParser::block_filters() {
  Node made = filter(nullptr);
  while (tokens_.skip_symbol("|")) made = filter(std::move(made));
  return made;
}

Node ExpressionParser::filter(Node input) {
  const int line = tokens_.peek().line;
  const std::string called = tokens_.expect_identifier();
  Node made = make(ExpressionKind::filter, line, std::move(input));
  made->builtin = find_filter(called);
  if (made->builtin == nullptr) syntax_error(line, "the filter '{}' is not supported", printable(called));
  if (tokens_.at_symbol("(")) arguments(*made);
  return made;
}

Node ExpressionParser::test(Node input) {
  const int line = tokens_.peek().line;
  const bool negated = tokens_.skip_name("not");
  const std::string called = tokens_.expect_identifier();
  Node made = make(ExpressionKind::test, line, std::move(input));
  made->builtin = find_test(called);
  if (made->builtin == nullptr) syntax_error(line, "the test '{}' is not supported", printable(called));
  if (tokens_.at_symbol("(")) {
    arguments(*made);
  } else {
    const Token& next = tokens_.peek();
    static constexpr std::array<std::string_view, 7> words = {"else", "or", "and", "is", "if", "in", "not"};
    const bool word = next.kind == TokenKind::name && std::find(words.begin(), words.end(), next.text) == words.end();
    if (word || tokens_.at(TokenKind::string) || tokens_.at(TokenKind::integer) || tokens_.at(TokenKind::real) ||
        tokens_.at_symbol("[") || tokens_.at_symbol("{")) {
      Argument argument{"", postfix(primary())};
      deepen(*made, argument.value);
      made->arguments.push_back(std::move(argument));
    }
  }
  return negated ? make(ExpressionKind::logical_not, line, std::move(made)) : std::move(made);
}

}  // namespace bitnet::jinja
