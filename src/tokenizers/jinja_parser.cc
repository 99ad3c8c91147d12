// Statements by their tag, expressions by precedence.
#include "tokenizers/jinja_parser.h"

#include <algorithm>
#include <array>

#include "common/error.h"
#include "tokenizers/jinja_lexer.h"

namespace bitnet::jinja {
namespace {

class Parser {
 public:
  Parser(std::vector<Token> tokens, int max_depth) : tokens_(std::move(tokens)), max_depth_(max_depth) {}

  Body run() {
    Body body = parse_body({});
    if (peek().type != TokenType::end) syntax_error(peek().line, fmt::format("'{}' has no beginning", printable(tag_name())));
    return body;
  }

 private:
  const Token& peek(std::size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  const Token& take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool is_op(std::string_view op, std::size_t ahead = 0) const { return peek(ahead).type == TokenType::op && peek(ahead).text == op; }
  bool is_name(std::string_view name, std::size_t ahead = 0) const { return peek(ahead).type == TokenType::name && peek(ahead).text == name; }
  bool skip_op(std::string_view op) { return is_op(op) ? (take(), true) : false; }
  bool skip_name(std::string_view name) { return is_name(name) ? (take(), true) : false; }
  [[noreturn]] void unexpected(std::string_view wanted) const {
    const Token& t = peek();
    const std::string found = t.type == TokenType::end ? "the end of the template" : t.type == TokenType::block_end || t.type == TokenType::output_end ? "the end of the tag" : "'" + printable(t.text) + "'";
    syntax_error(t.line, fmt::format("expected {}, found {}", wanted, found));
  }
  void expect_op(std::string_view op) {
    if (!skip_op(op)) unexpected(fmt::format("'{}'", op));
  }
  void expect_name(std::string_view name) {
    if (!skip_name(name)) unexpected(fmt::format("'{}'", name));
  }
  std::string expect_identifier() {
    if (peek().type != TokenType::name) unexpected("a name");
    return take().text;
  }
  void expect_block_end() {
    if (peek().type != TokenType::block_end) unexpected("the end of the tag");
    take();
  }
  std::string tag_name() const { return peek().type == TokenType::block_begin ? peek(1).text : peek().text; }

  // Counts open constructs while parsing, so that source cannot exhaust the stack.
  class Nesting {
   public:
    explicit Nesting(Parser& parser) : parser_(parser) {
      if (++parser.nesting_ > parser.max_depth_) syntax_error(parser.peek().line, fmt::format("nesting is deeper than {}", parser.max_depth_));
    }
    ~Nesting() { --parser_.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    Parser& parser_;
  };

  Node node(Op op, int line, std::vector<Node> children = {}, std::string text = {}) {
    auto made = std::make_unique<Expression>();
    made->op = op, made->line = line, made->text = std::move(text), made->children = std::move(children);
    for (const Node& child : made->children) deepen(*made, child);
    return made;
  }
  void deepen(Expression& parent, const Node& child) const {
    if (child) parent.depth = std::max(parent.depth, child->depth + 1);
    if (parent.depth > 4 * max_depth_) syntax_error(parent.line, fmt::format("an expression is deeper than {}", 4 * max_depth_));
  }
  static std::vector<Node> both(Node a, Node b) {
    std::vector<Node> children;
    children.push_back(std::move(a)), children.push_back(std::move(b));
    return children;
  }

  // Statements up to a tag whose name is in `ends` (left for the caller) or the end of the template.
  Body parse_body(const std::vector<std::string_view>& ends) {
    const Nesting nesting(*this);
    Body body;
    while (peek().type != TokenType::end) {
      if (peek().type == TokenType::block_begin) {
        if (std::find(ends.begin(), ends.end(), tag_name()) != ends.end()) return body;
        if (tag_name().starts_with("end") || tag_name() == "else" || tag_name() == "elif") return body;
      }
      parse_statement(body);
    }
    if (!ends.empty()) syntax_error(peek().line, fmt::format("'{}' is missing", ends.back()));
    return body;
  }

  static std::unique_ptr<Block> block(Statement kind, int line) {
    auto made = std::make_unique<Block>();
    made->kind = kind, made->line = line;
    return made;
  }

  void parse_statement(Body& body) {
    const int line = peek().line;
    if (peek().type == TokenType::text) {
      body.push_back(block(Statement::text, line));
      body.back()->text = take().text;
      return;
    }
    if (peek().type == TokenType::output_begin) {
      take();
      body.push_back(block(Statement::output, line));
      body.back()->value = parse_tuple();
      if (peek().type != TokenType::output_end) unexpected("the end of the output");
      take();
      return;
    }
    take();  // block_begin
    const std::string name = expect_identifier();
    using Method = std::unique_ptr<Block> (Parser::*)(int);
    struct Tag {
      std::string_view name;
      Method parse;
    };
    static constexpr std::array<Tag, 10> tags = {{{"if", &Parser::parse_if}, {"for", &Parser::parse_for}, {"set", &Parser::parse_set},
                                                  {"macro", &Parser::parse_macro}, {"call", &Parser::parse_call}, {"filter", &Parser::parse_filter},
                                                  {"with", &Parser::parse_with}, {"generation", &Parser::parse_generation},
                                                  {"break", &Parser::parse_break}, {"continue", &Parser::parse_continue}}};
    for (const Tag& tag : tags) {
      if (tag.name == name) return body.push_back((this->*tag.parse)(line));
    }
    syntax_error(line, fmt::format("the tag '{}' is not supported", printable(name)));
  }

  // The end tag `name` with what may stand in it.
  void end_tag(std::string_view name) {
    if (peek().type != TokenType::block_begin || tag_name() != name) {
      syntax_error(peek().line, fmt::format("expected '{}', found '{}'", name, printable(tag_name())));
    }
    take(), take();
    expect_block_end();
  }

  std::unique_ptr<Block> parse_if(int line) {
    auto made = block(Statement::conditional, line);
    made->branches.push_back({parse_expression(), {}});
    expect_block_end();
    while (true) {
      made->branches.back().body = parse_body({"elif", "else", "endif"});
      if (tag_name() == "endif") break;
      const bool last = tag_name() == "else";
      if (!made->branches.back().condition) syntax_error(peek().line, "'else' is not the last part of its 'if'");
      take(), take();
      made->branches.push_back({last ? nullptr : parse_expression(), {}});
      expect_block_end();
    }
    end_tag("endif");
    return made;
  }

  std::unique_ptr<Block> parse_for(int line) {
    auto made = block(Statement::loop, line);
    made->targets = parse_targets();
    expect_name("in");
    made->value = parse_tuple(false);
    if (skip_name("if")) made->condition = parse_expression();
    if (is_name("recursive")) syntax_error(line, "recursive loops are not supported");
    expect_block_end();
    ++loops_;
    made->body = parse_body({"else", "endfor"});
    --loops_;
    if (tag_name() == "else") {
      take(), take();
      expect_block_end();
      made->otherwise = parse_body({"endfor"});
    }
    end_tag("endfor");
    return made;
  }

  std::vector<std::string> parse_targets() {
    std::vector<std::string> names;
    const bool brackets = skip_op("(");
    do {
      if (is_name("in") || is_op(")")) break;
      names.push_back(expect_identifier());
    } while (skip_op(","));
    if (brackets) expect_op(")");
    return names;
  }

  std::unique_ptr<Block> parse_set(int line) {
    auto made = block(Statement::set, line);
    made->targets = parse_targets();
    if (made->targets.size() == 1 && skip_op(".")) made->attribute = expect_identifier();
    if (skip_op("=")) {
      made->value = parse_tuple();
      expect_block_end();
      return made;
    }
    made->kind = Statement::set_block;
    if (made->targets.size() != 1) unexpected("'='");
    if (is_op("|")) made->value = parse_filters(node(Op::name, line, {}, "\x01" "body"));
    expect_block_end();
    made->body = parse_body({"endset"});
    end_tag("endset");
    return made;
  }

  std::vector<Parameter> parse_parameters() {
    std::vector<Parameter> parameters;
    expect_op("(");
    while (!is_op(")")) {
      Parameter parameter{expect_identifier(), nullptr};
      if (skip_op("=")) parameter.fallback = parse_expression();
      parameters.push_back(std::move(parameter));
      if (!skip_op(",")) break;
    }
    expect_op(")");
    return parameters;
  }

  Body macro_body(std::string_view end) {
    const int loops = std::exchange(loops_, 0);  // break and continue do not reach out of a macro
    Body body = parse_body({end});
    loops_ = loops;
    end_tag(end);
    return body;
  }

  std::unique_ptr<Block> parse_macro(int line) {
    auto made = block(Statement::macro, line);
    made->text = expect_identifier();
    made->parameters = parse_parameters();
    expect_block_end();
    made->body = macro_body("endmacro");
    return made;
  }

  std::unique_ptr<Block> parse_call(int line) {
    auto made = block(Statement::call, line);
    if (is_op("(")) made->parameters = parse_parameters();
    made->value = parse_expression();
    if (made->value->op != Op::call) syntax_error(line, "'call' needs a call");
    expect_block_end();
    made->body = macro_body("endcall");
    return made;
  }

  std::unique_ptr<Block> parse_filter(int line) {
    auto made = block(Statement::filter, line);
    made->value = parse_filter_call(node(Op::name, line, {}, "\x01" "body"));
    made->value = parse_filters(std::move(made->value));
    expect_block_end();
    made->body = parse_body({"endfilter"});
    end_tag("endfilter");
    return made;
  }

  std::unique_ptr<Block> parse_with(int line) {
    auto made = block(Statement::with, line);
    while (peek().type != TokenType::block_end) {
      Parameter parameter{expect_identifier(), nullptr};
      expect_op("=");
      parameter.fallback = parse_expression();
      made->parameters.push_back(std::move(parameter));
      if (!skip_op(",")) break;
    }
    expect_block_end();
    made->body = parse_body({"endwith"});
    end_tag("endwith");
    return made;
  }

  // Marks what an assistant said, for training; the text is what counts here.
  std::unique_ptr<Block> parse_generation(int line) {
    auto made = block(Statement::scope, line);
    expect_block_end();
    made->body = parse_body({"endgeneration"});
    end_tag("endgeneration");
    return made;
  }

  std::unique_ptr<Block> parse_break(int line) { return loop_control(Statement::break_loop, line); }
  std::unique_ptr<Block> parse_continue(int line) { return loop_control(Statement::continue_loop, line); }
  std::unique_ptr<Block> loop_control(Statement kind, int line) {
    if (loops_ == 0) syntax_error(line, "break or continue outside a loop");
    expect_block_end();
    return block(kind, line);
  }

  // An expression, or several with commas between as a tuple.
  Node parse_tuple(bool with_condition = true) {
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

  Node parse_expression() {
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

  Node parse_or() {
    Node left = parse_and();
    while (is_name("or")) {
      const int line = take().line;
      left = node(Op::logical_or, line, both(std::move(left), parse_and()));
    }
    return left;
  }

  Node parse_and() {
    Node left = parse_not();
    while (is_name("and")) {
      const int line = take().line;
      left = node(Op::logical_and, line, both(std::move(left), parse_not()));
    }
    return left;
  }

  Node parse_not() {
    if (!is_name("not")) return parse_compare();
    const Nesting nesting(*this);
    const int line = take().line;
    std::vector<Node> child;
    child.push_back(parse_not());
    return node(Op::logical_not, line, std::move(child));
  }

  Node parse_compare() {
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

  struct Binary {
    std::string_view symbol;
    Op op;
  };

  template <std::size_t n>
  Node parse_binary(const std::array<Binary, n>& operators, Node (Parser::*operand)()) {
    Node left = (this->*operand)();
    while (true) {
      const auto found = std::find_if(operators.begin(), operators.end(), [&](const Binary& b) { return is_op(b.symbol); });
      if (found == operators.end()) return left;
      const int line = take().line;
      left = node(found->op, line, both(std::move(left), (this->*operand)()));
    }
  }

  Node parse_sum() { return parse_binary(std::array<Binary, 2>{{{"+", Op::add}, {"-", Op::subtract}}}, &Parser::parse_concat); }
  Node parse_concat() { return parse_binary(std::array<Binary, 1>{{{"~", Op::concat}}}, &Parser::parse_product); }
  Node parse_product() {
    return parse_binary(std::array<Binary, 4>{{{"*", Op::multiply}, {"/", Op::divide}, {"//", Op::floor_divide}, {"%", Op::modulo}}}, &Parser::parse_power);
  }
  Node parse_power() { return parse_binary(std::array<Binary, 1>{{{"**", Op::power}}}, &Parser::parse_unary_with_filters); }
  Node parse_unary_with_filters() { return parse_filters(parse_unary()); }

  Node parse_unary() {
    if (!is_op("-") && !is_op("+")) return parse_postfix(parse_primary());
    const Nesting nesting(*this);
    const Token sign = take();
    std::vector<Node> child;
    child.push_back(parse_unary());
    return parse_postfix(node(sign.text == "-" ? Op::negate : Op::plus, sign.line, std::move(child)));
  }

  Node literal(int line, Value value) {
    Node made = node(Op::literal, line);
    made->value = std::move(value);
    return made;
  }

  Node parse_primary() {
    const Nesting nesting(*this);
    const Token& t = peek();
    const int line = t.line;
    switch (t.type) {
      case TokenType::name: return parse_name();
      case TokenType::string: {
        std::string text;
        while (peek().type == TokenType::string) text += take().text;  // neighbours join, as in Python
        return literal(line, Value(std::move(text)));
      }
      case TokenType::integer: return literal(line, parse_integer(take().text, line));
      case TokenType::real: return literal(line, Value(std::strtod(take().text.c_str(), nullptr)));
      default: break;
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

  static Value parse_integer(const std::string& digits, int line) {
    std::int64_t value = 0;
    for (const char c : digits) {
      if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, c - '0', &value)) syntax_error(line, "a number does not fit 64 bits");
    }
    return Value(value);
  }

  Node parse_name() {
    const Token t = take();
    if (t.text == "true" || t.text == "True") return literal(t.line, Value(true));
    if (t.text == "false" || t.text == "False") return literal(t.line, Value(false));
    if (t.text == "none" || t.text == "None") return literal(t.line, Value::none());
    return node(Op::name, t.line, {}, t.text);
  }

  std::vector<Node> parse_items(std::string_view close) {
    std::vector<Node> items;
    while (!is_op(close)) {
      items.push_back(parse_expression());
      if (!skip_op(",")) break;
    }
    expect_op(close);
    return items;
  }

  Node parse_dict(int line) {
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

  Node parse_postfix(Node object) {
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

  Node parse_subscript(Node object, int line) {
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
  Node parse_arguments(Op op, Node object, std::string text) {
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

  Node parse_filter_call(Node input) {
    const int line = peek().line;
    const std::string name = expect_identifier();
    if (is_op("(")) return parse_arguments(Op::filter, std::move(input), name);
    std::vector<Node> child;
    child.push_back(std::move(input));
    return node(Op::filter, line, std::move(child), name);
  }

  Node parse_filters(Node input) {
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

  Node parse_test(Node input) {
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
      const bool word = next == TokenType::name && !is_name("else") && !is_name("or") && !is_name("and") && !is_name("is") && !is_name("if") && !is_name("in") && !is_name("not");
      if (word || next == TokenType::string || next == TokenType::integer || next == TokenType::real || is_op("[") || is_op("{")) {
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

  std::vector<Token> tokens_;
  int max_depth_, nesting_ = 0, loops_ = 0;
  std::size_t at_ = 0;
};

}  // namespace

Body parse(std::string_view source, int max_depth) { return Parser(tokenize(source), max_depth).run(); }

}  // namespace bitnet::jinja
