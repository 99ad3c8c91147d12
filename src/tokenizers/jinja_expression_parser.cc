// Expressions by precedence.
#include "tokenizers/jinja_expression_parser.h"

#include <array>
#include <cstdlib>

#include "common/error.h"

namespace bitnet::jinja {
namespace {

std::vector<Node> both(Node a, Node b) {
  std::vector<Node> children;
  children.push_back(std::move(a)), children.push_back(std::move(b));
  return children;
}

Value parse_integer(const std::string& digits, int line) {
  std::int64_t value = 0;
  for (const char c : digits) {
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, c - '0', &value))
      syntax_error(line, "a number does not fit 64 bits");
  }
  return Value(value);
}

}  // namespace

ExpressionParser::Nesting::Nesting(ExpressionParser& parser) : parser_(parser) {
  if (++parser.nesting_ > parser.max_depth_)
    syntax_error(parser.peek().line, fmt::format("nesting is deeper than {}", parser.max_depth_));
}

void ExpressionParser::unexpected(std::string_view wanted) const {
  const Token& t = peek();
  std::string found = "'" + printable(t.text) + "'";
  if (t.type == TokenType::end) found = "the end of the template";
  if (t.type == TokenType::block_end || t.type == TokenType::output_end) found = "the end of the tag";
  syntax_error(t.line, fmt::format("expected {}, found {}", wanted, found));
}

void ExpressionParser::expect_op(std::string_view op) {
  if (!skip_op(op)) unexpected(fmt::format("'{}'", op));
}

std::string ExpressionParser::expect_identifier() {
  if (peek().type != TokenType::name) unexpected("a name");
  return take().text;
}

Node ExpressionParser::node(Op op, int line, std::vector<Node> children, std::string text) {
  auto made = std::make_unique<Expression>();
  made->op = op, made->line = line, made->text = std::move(text), made->children = std::move(children);
  for (const Node& child : made->children) deepen(*made, child);
  return made;
}

void ExpressionParser::deepen(Expression& parent, const Node& child) const {
  if (child) parent.depth = std::max(parent.depth, child->depth + 1);
  if (parent.depth > 4 * max_depth_) syntax_error(parent.line, fmt::format("an expression is deeper than {}", 4 * max_depth_));
}

Node ExpressionParser::parse_tuple(bool with_condition) {
  const int line = peek().line;
  std::vector<Node> items;
  bool tuple = false;
  do {
    if (tuple && (peek().type == TokenType::output_end || peek().type == TokenType::block_end || is_op(")"))) break;
    items.push_back(with_condition ? parse_expression() : parse_or());
  } while (skip_op(",") && (tuple = true));
  if (!tuple) return std::move(items[0]);
  return node(Op::tuple, line, std::move(items));
}

Node ExpressionParser::parse_expression() {
  const Nesting nesting(*this);
  const int line = peek().line;
  Node value = parse_or();
  while (skip_name("if")) {
    Node condition = parse_or();
    Node other = skip_name("else") ? parse_expression() : nullptr;
    std::vector<Node> children = both(std::move(value), std::move(condition));
    children.push_back(std::move(other));
    value = node(Op::conditional, line, std::move(children));
  }
  return value;
}

Node ExpressionParser::parse_or() {
  Node left = parse_and();
  while (is_name("or")) {
    const int line = take().line;
    left = node(Op::logical_or, line, both(std::move(left), parse_and()));
  }
  return left;
}

Node ExpressionParser::parse_and() {
  Node left = parse_not();
  while (is_name("and")) {
    const int line = take().line;
    left = node(Op::logical_and, line, both(std::move(left), parse_not()));
  }
  return left;
}

Node ExpressionParser::parse_not() {
  if (!is_name("not")) return parse_compare();
  const Nesting nesting(*this);
  const int line = take().line;
  std::vector<Node> child;
  child.push_back(parse_not());
  return node(Op::logical_not, line, std::move(child));
}

Node ExpressionParser::parse_compare() {
  const int line = peek().line;
  std::vector<Node> operands;
  std::vector<std::string> operators;
  operands.push_back(parse_sum());
  while (true) {
    static constexpr std::array<std::string_view, 6> symbols = {"==", "!=", "<", ">", "<=", ">="};
    if (peek().type == TokenType::op && std::find(symbols.begin(), symbols.end(), peek().text) != symbols.end()) {
      operators.push_back(take().text);
    } else if (skip_name("in")) {
      operators.emplace_back("in");
    } else if (is_name("not") && is_name("in", 1)) {
      take(), take();
      operators.emplace_back("not in");
    } else {
      break;
    }
    operands.push_back(parse_sum());
  }
  if (operators.empty()) return std::move(operands[0]);
  Node made = node(Op::compare, line, std::move(operands));
  made->comparisons = std::move(operators);
  return made;
}

template <std::size_t n>
Node ExpressionParser::parse_binary(const Binary (&operators)[n], Node (ExpressionParser::*operand)()) {
  Node left = (this->*operand)();
  while (true) {
    const Binary* found = std::find_if(operators, operators + n, [&](const Binary& b) { return is_op(b.symbol); });
    if (found == operators + n) return left;
    const int line = take().line;
    left = node(found->op, line, both(std::move(left), (this->*operand)()));
  }
}

Node ExpressionParser::parse_sum() {
  static constexpr Binary operators[] = {{"+", Op::add}, {"-", Op::subtract}};
  return parse_binary(operators, &ExpressionParser::parse_concat);
}
Node ExpressionParser::parse_concat() {
  static constexpr Binary operators[] = {{"~", Op::concat}};
  return parse_binary(operators, &ExpressionParser::parse_product);
}
Node ExpressionParser::parse_product() {
  static constexpr Binary operators[] = {{"*", Op::multiply}, {"/", Op::divide}, {"//", Op::floor_divide}, {"%", Op::modulo}};
  return parse_binary(operators, &ExpressionParser::parse_power);
}
Node ExpressionParser::parse_power() {
  static constexpr Binary operators[] = {{"**", Op::power}};
  return parse_binary(operators, &ExpressionParser::parse_unary_with_filters);
}
Node ExpressionParser::parse_unary_with_filters() { return parse_filters(parse_unary()); }

Node ExpressionParser::parse_unary() {
  if (!is_op("-") && !is_op("+")) return parse_postfix(parse_primary());
  const Nesting nesting(*this);
  const Token sign = take();
  std::vector<Node> child;
  child.push_back(parse_unary());
  return parse_postfix(node(sign.text == "-" ? Op::negate : Op::plus, sign.line, std::move(child)));
}

Node ExpressionParser::literal(int line, Value value) {
  Node made = node(Op::literal, line);
  made->value = std::move(value);
  return made;
}

Node ExpressionParser::parse_primary() {
  const Nesting nesting(*this);
  const Token& t = peek();
  const int line = t.line;
  switch (t.type) {
    case TokenType::name:
      return parse_name();
    case TokenType::string: {
      std::string text;
      while (peek().type == TokenType::string) text += take().text;  // neighbours join, as in Python
      return literal(line, Value(std::move(text)));
    }
    case TokenType::integer:
      return literal(line, parse_integer(take().text, line));
    case TokenType::real:
      return literal(line, Value(std::strtod(take().text.c_str(), nullptr)));
    default:
      break;
  }
  if (skip_op("(")) {
    if (skip_op(")")) return node(Op::tuple, line);
    Node inner = parse_tuple();
    expect_op(")");
    return inner;
  }
  if (skip_op("[")) return node(Op::list, line, parse_items("]"));
  if (skip_op("{")) return parse_dict(line);
  unexpected("a value");
}

Node ExpressionParser::parse_name() {
  const Token t = take();
  if (t.text == "true" || t.text == "True") return literal(t.line, Value(true));
  if (t.text == "false" || t.text == "False") return literal(t.line, Value(false));
  if (t.text == "none" || t.text == "None") return literal(t.line, Value::none());
  return node(Op::name, t.line, {}, t.text);
}

std::vector<Node> ExpressionParser::parse_items(std::string_view close) {
  std::vector<Node> items;
  while (!is_op(close)) {
    items.push_back(parse_expression());
    if (!skip_op(",")) break;
  }
  expect_op(close);
  return items;
}

Node ExpressionParser::parse_dict(int line) {
  std::vector<Node> items;
  while (!is_op("}")) {
    items.push_back(parse_expression());
    expect_op(":");
    items.push_back(parse_expression());
    if (!skip_op(",")) break;
  }
  expect_op("}");
  return node(Op::dict, line, std::move(items));
}

Node ExpressionParser::parse_postfix(Node object) {
  while (true) {
    const int line = peek().line;
    if (skip_op(".")) {
      std::vector<Node> child;
      child.push_back(std::move(object));
      if (peek().type == TokenType::integer) {
        child.push_back(literal(line, parse_integer(take().text, line)));
        object = node(Op::subscript, line, std::move(child));
      } else {
        object = node(Op::attribute, line, std::move(child), expect_identifier());
      }
    } else if (skip_op("[")) {
      object = parse_subscript(std::move(object), line);
    } else if (is_op("(")) {
      object = parse_arguments(Op::call, std::move(object), "");
    } else {
      return object;
    }
  }
}

Node ExpressionParser::parse_subscript(Node object, int line) {
  std::vector<Node> parts;
  parts.push_back(std::move(object));
  bool slice = false;
  for (int part = 0; part < 3; ++part) {
    parts.push_back(is_op(":") || is_op("]") ? nullptr : parse_expression());
    if (!skip_op(":")) break;
    slice = true;
  }
  expect_op("]");
  if (!slice) {
    if (!parts[1]) syntax_error(line, "a subscript is empty");
    return node(Op::subscript, line, std::move(parts));
  }
  parts.resize(4);
  return node(Op::slice, line, std::move(parts));
}

// OBJECT(arguments): children[0] is the object.
Node ExpressionParser::parse_arguments(Op op, Node object, std::string text) {
  std::vector<Node> child;
  child.push_back(std::move(object));
  Node made = node(op, peek().line, std::move(child), std::move(text));
  expect_op("(");
  while (!is_op(")")) {
    Argument argument;
    if (peek().type == TokenType::name && is_op("=", 1)) {
      argument.name = take().text;
      take();
    }
    argument.value = parse_expression();
    deepen(*made, argument.value);
    made->arguments.push_back(std::move(argument));
    if (!skip_op(",")) break;
  }
  expect_op(")");
  return made;
}

Node ExpressionParser::parse_filter_call(Node input) {
  const int line = peek().line;
  const std::string name = expect_identifier();
  if (is_op("(")) return parse_arguments(Op::filter, std::move(input), name);
  std::vector<Node> child;
  child.push_back(std::move(input));
  return node(Op::filter, line, std::move(child), name);
}

Node ExpressionParser::parse_filters(Node input) {
  while (true) {
    if (skip_op("|")) {
      input = parse_filter_call(std::move(input));
    } else if (is_name("is")) {
      input = parse_test(std::move(input));
    } else if (is_op("(")) {
      input = parse_arguments(Op::call, std::move(input), "");
    } else {
      return input;
    }
  }
}

Node ExpressionParser::parse_test(Node input) {
  const int line = take().line;  // is
  const bool negated = skip_name("not");
  const std::string name = expect_identifier();
  Node made;
  if (is_op("(")) {
    made = parse_arguments(Op::test, std::move(input), name);
  } else {
    std::vector<Node> child;
    child.push_back(std::move(input));
    made = node(Op::test, line, std::move(child), name);
    const TokenType next = peek().type;
    const bool word = next == TokenType::name && !is_name("else") && !is_name("or") && !is_name("and") && !is_name("is") &&
                      !is_name("if") && !is_name("in") && !is_name("not");
    if (word || next == TokenType::string || next == TokenType::integer || next == TokenType::real || is_op("[") ||
        is_op("{")) {
      Argument argument{"", parse_postfix(parse_primary())};
      deepen(*made, argument.value);
      made->arguments.push_back(std::move(argument));
    }
  }
  if (!negated) return made;
  std::vector<Node> child;
  child.push_back(std::move(made));
  return node(Op::logical_not, line, std::move(child));
}

}  // namespace bitnet::jinja
