// Statements by the name of their tag.
#include "tokenizers/jinja_parser.h"

#include <array>

#include "tokenizers/jinja_expression_parser.h"
#include "tokenizers/jinja_token_stream.h"

namespace bitnet::jinja {
namespace {

class Parser {
 public:
  Parser(std::vector<Token> tokens, int max_depth) : tokens_(std::move(tokens), max_depth), expressions_(tokens_) {}

  Body run() {
    Body body = statements();
    if (!tokens_.at(TokenKind::end)) syntax_error(tokens_.peek().line, "'{}' has no beginning", printable(tag_name()));
    return body;
  }

 private:
  static Block make(BlockKind kind, int line) { return {kind, line, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }

  std::string_view tag_name() const {
    return tokens_.at(TokenKind::block_begin) ? std::string_view(tokens_.peek(1).text) : std::string_view();
  }
  bool at_end_tag() const { return tag_name().starts_with("end") || tag_name() == "else" || tag_name() == "elif"; }

  // Up to a tag that ends or divides something (which stays), or the end of the template.
  Body statements() {
    const TokenStream::Nesting nesting(tokens_);
    Body body;
    while (!tokens_.at(TokenKind::end) && !at_end_tag()) body.push_back(statement());
    return body;
  }

  // The statements behind a tag and `end`, its end tag.
  Body body_until(std::string_view end) {
    tokens_.expect_end_of_block();
    Body body = statements();
    take_tag(end);
    tokens_.expect_end_of_block();
    return body;
  }

  void take_tag(std::string_view name) {
    if (tokens_.at(TokenKind::end)) syntax_error(tokens_.peek().line, "'{}' is missing", name);
    if (tag_name() != name) syntax_error(tokens_.peek().line, "expected '{}', found '{}'", name, printable(tag_name()));
    tokens_.take();
    tokens_.take();
  }

  Block statement() {
    const Token first = tokens_.take();
    if (first.kind == TokenKind::text) {
      Block made = make(BlockKind::text, first.line);
      made.text = first.text;
      return made;
    }
    if (first.kind == TokenKind::output_begin) {
      Block made = make(BlockKind::output, first.line);
      made.value = expressions_.expressions();
      if (!tokens_.at(TokenKind::output_end)) tokens_.unexpected("the end of the tag");
      tokens_.take();
      return made;
    }
    struct Tag {
      std::string_view name;
      Block (Parser::*parse)(int line);
    };
    static constexpr std::array<Tag, 10> tags = {{{"if", &Parser::conditional},
                                                  {"for", &Parser::loop},
                                                  {"set", &Parser::set},
                                                  {"macro", &Parser::macro},
                                                  {"call", &Parser::call},
                                                  {"filter", &Parser::filter},
                                                  {"with", &Parser::with},
                                                  {"generation", &Parser::generation},
                                                  {"break", &Parser::break_loop},
                                                  {"continue", &Parser::continue_loop}}};
    const std::string name = tokens_.expect_identifier();
    for (const Tag& tag : tags) {
      if (tag.name == name) return (this->*tag.parse)(first.line);
    }
    syntax_error(first.line, "the tag '{}' is not supported", printable(name));
  }

  Block conditional(int line) {
    Block made = make(BlockKind::conditional, line);
    made.branches.push_back({expressions_.expressions(false), {}});
    tokens_.expect_end_of_block();
    made.branches.back().body = statements();
    while (tag_name() == "elif" || tag_name() == "else") {
      if (!made.branches.back().condition) syntax_error(tokens_.peek().line, "'{}' stands behind 'else'", tag_name());
      const bool last = tag_name() == "else";
      take_tag(tag_name());
      made.branches.push_back({last ? nullptr : expressions_.expressions(false), {}});
      tokens_.expect_end_of_block();
      made.branches.back().body = statements();
    }
    take_tag("endif");
    tokens_.expect_end_of_block();
    return made;
  }

  Block loop(int line) {
    Block made = make(BlockKind::loop, line);
    made.targets = targets();
    tokens_.expect_name("in");
    made.value = expressions_.expressions(false);
    if (tokens_.skip_name("if")) made.condition = expressions_.expression();
    if (tokens_.at_name("recursive")) syntax_error(line, "recursive loops are not supported");
    tokens_.expect_end_of_block();
    ++loops_;
    made.body = statements();
    --loops_;
    if (tag_name() == "else") {
      take_tag("else");
      tokens_.expect_end_of_block();
      made.otherwise = statements();
    }
    take_tag("endfor");
    tokens_.expect_end_of_block();
    return made;
  }

  // One name, or several that share the items of a list.
  std::vector<std::string> targets() {
    const bool brackets = tokens_.skip_symbol("(");
    std::vector<std::string> names;
    bool several = brackets;
    do {
      if (!names.empty() && (tokens_.at_name("in") || tokens_.at_symbol(")") || tokens_.at_symbol("="))) break;
      const int line = tokens_.peek().line;
      names.push_back(tokens_.expect_identifier());
      if (names.back() == "loop") syntax_error(line, "'loop' cannot be set");
    } while (tokens_.skip_symbol(",") && (several = true));
    if (brackets) tokens_.expect_symbol(")");
    if (several && names.size() == 1) tokens_.unexpected("a second name");
    return names;
  }

  Block set(int line) {
    Block made = make(BlockKind::set, line);
    made.targets = targets();
    if (made.targets.size() == 1 && tokens_.skip_symbol(".")) made.attribute = tokens_.expect_identifier();
    if (tokens_.skip_symbol("=")) {
      made.value = expressions_.expressions();
      tokens_.expect_end_of_block();
      return made;
    }
    made.kind = BlockKind::set_block;
    if (made.targets.size() != 1) tokens_.unexpected("'='");
    if (tokens_.skip_symbol("|")) made.value = expressions_.block_filters();
    made.body = body_until("endset");
    return made;
  }

  std::vector<Parameter> parameters() {
    std::vector<Parameter> made;
    tokens_.expect_symbol("(");
    while (!tokens_.at_symbol(")")) {
      Parameter parameter{tokens_.expect_identifier(), nullptr};
      if (tokens_.skip_symbol("="))
        parameter.fallback = expressions_.expression();
      else if (!made.empty() && made.back().fallback)
        tokens_.unexpected("a default, as the parameter before has one");
      made.push_back(std::move(parameter));
      if (!tokens_.skip_symbol(",")) break;
    }
    tokens_.expect_symbol(")");
    return made;
  }

  // The body of a macro or call: break and continue do not reach out of it.
  Body separate_body(std::string_view end) {
    const int loops = std::exchange(loops_, 0);
    Body body = body_until(end);
    loops_ = loops;
    return body;
  }

  Block macro(int line) {
    Block made = make(BlockKind::macro, line);
    made.text = tokens_.expect_identifier();
    made.parameters = parameters();
    made.body = separate_body("endmacro");
    return made;
  }

  Block call(int line) {
    Block made = make(BlockKind::call, line);
    made.text = "caller";
    if (tokens_.at_symbol("(")) made.parameters = parameters();
    made.value = expressions_.expression();
    if (made.value->kind != ExpressionKind::call) syntax_error(line, "'call' needs a call");
    made.body = separate_body("endcall");
    return made;
  }

  Block filter(int line) {
    Block made = make(BlockKind::filter, line);
    made.value = expressions_.block_filters();
    made.body = body_until("endfilter");
    return made;
  }

  Block with(int line) {
    Block made = make(BlockKind::with, line);
    while (!tokens_.at(TokenKind::block_end)) {
      Parameter parameter{tokens_.expect_identifier(), nullptr};
      tokens_.expect_symbol("=");
      parameter.fallback = expressions_.expression();
      made.parameters.push_back(std::move(parameter));
      if (!tokens_.skip_symbol(",")) break;
    }
    made.body = body_until("endwith");
    return made;
  }

  // Marks what the assistant said, for training; only its text counts here.
  Block generation(int line) {
    Block made = make(BlockKind::generation, line);
    made.body = separate_body("endgeneration");
    return made;
  }

  Block break_loop(int line) { return loop_control(BlockKind::break_loop, line); }
  Block continue_loop(int line) { return loop_control(BlockKind::continue_loop, line); }
  Block loop_control(BlockKind kind, int line) {
    if (loops_ == 0) syntax_error(line, "'break' or 'continue' stands outside a loop");
    tokens_.expect_end_of_block();
    return make(kind, line);
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  int loops_ = 0;  // around the current statement
};

}  // namespace

Body parse(std::string_view source, int max_depth) { return Parser(tokenize(source), max_depth).run(); }

}  // namespace bitnet::jinja
