// The syntax tree of a template.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tokenizers/jinja_builtins.h"
#include "tokenizers/jinja_operators.h"
#include "tokenizers/jinja_value.h"

namespace bitnet::jinja {

struct Expression;
using Node = std::unique_ptr<Expression>;

struct Argument {
  std::string name;  // empty: by position
  Node value;
};

enum class ExpressionKind : std::uint8_t {
  literal,  // value
  name,     // text
  list,
  tuple,      // children: items
  dict,       // children: key, value, key, value, ...
  attribute,  // children[0].text
  subscript,  // children[0][children[1]]
  slice,      // children[0][children[1]:children[2]:children[3]], null where absent
  call,       // children[0](arguments)
  filter,
  test,  // builtin applied to children[0] (null: the text of a filter block) with arguments
  negate,
  plus,
  logical_not,  // children[0]
  logical_and,
  logical_or,   // children: two or more operands
  conditional,  // children[0] if children[1] else children[2], which may be null
  arithmetic,   // children: operands from left to right; operators between them, all of one precedence
  compare,      // the same, as a chain: a < b < c
};

struct Expression {
  ExpressionKind kind;
  int line;
  int depth = 1;  // of the tree from here down
  std::string text;
  Value value;
  const Builtin* builtin = nullptr;
  std::vector<Node> children;
  std::vector<Argument> arguments;
  std::vector<Binary> operators;
};

enum class BlockKind : std::uint8_t {
  text,         // text
  output,       // value
  conditional,  // branches
  loop,         // targets, value to loop over, condition (may be null), body, otherwise
  set,          // targets or target.attribute, value
  set_block,    // the same; value: filters over the body's text, or null
  macro,        // text: its name; parameters, body
  call,         // value: the call; parameters, body of caller()
  filter,       // value: filters over the body's text
  with,         // parameters with values, body
  generation,   // body
  break_loop,
  continue_loop,
};

struct Block;
using Body = std::vector<Block>;

struct Branch {
  Node condition;  // null: else
  Body body;
};

struct Parameter {
  std::string name;
  Node fallback;  // null: undefined
};

struct Block {
  BlockKind kind;
  int line;
  std::string text;
  Node value, condition;
  std::vector<std::string> targets;
  std::string attribute;
  std::vector<Branch> branches;
  std::vector<Parameter> parameters;
  Body body, otherwise;
};

}  // namespace bitnet::jinja
