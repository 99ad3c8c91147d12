// Parses the statements of a template.
#include "tokenizers/jinja_parser.h"

#include <algorithm>
#include <array>

#include "common/error.h"
#include "tokenizers/jinja_expression_parser.h"

namespace bitnet::jinja {
namespace {

class Parser : private ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  Body run() {
    Body body = parse_body({});
    if (peek().type != TokenType::end) syntax_error(peek().line, fmt::format("'{}' has no beginning", printable(tag_name())));
    return body;
  }

 private:
  void expect_name(std::string_view name) {
    if (!skip_name(name)) unexpected(fmt::format("'{}'", name));
  }
  void expect_block_end() {
    if (peek().type != TokenType::block_end) unexpected("the end of the tag");
    take();
  }
  std::string tag_name() const { return peek().type == TokenType::block_begin ? peek(1).text : peek().text; }

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
    static constexpr std::array<Tag, 10> tags = {{{"if", &Parser::parse_if},
                                                  {"for", &Parser::parse_for},
                                                  {"set", &Parser::parse_set},
                                                  {"macro", &Parser::parse_macro},
                                                  {"call", &Parser::parse_call},
                                                  {"filter", &Parser::parse_filter},
                                                  {"with", &Parser::parse_with},
                                                  {"generation", &Parser::parse_generation},
                                                  {"break", &Parser::parse_break},
                                                  {"continue", &Parser::parse_continue}}};
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
    if (is_op("|"))
      made->value = parse_filters(node(Op::name, line, {},
                                       "\x01"
                                       "body"));
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
    made->value = parse_filter_call(node(Op::name, line, {},
                                         "\x01"
                                         "body"));
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

  int loops_ = 0;  // open ones, which break and continue may leave
};

}  // namespace

Body parse(std::string_view source, int max_depth) { return Parser(tokenize(source), max_depth).run(); }

}  // namespace bitnet::jinja
