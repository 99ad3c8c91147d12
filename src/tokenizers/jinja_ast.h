// The syntax tree of a template.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tokenizers/jinja_value.h"

namespace bitnet::jinja {

struct Expression;
using Node = std::unique_ptr<Expression>;

struct Argument {
  std::string name;  // empty: by position
  Node value;
};

enum class Op : std::uint8_t {
  literal,
  name,
  list,
  tuple,
  dict,  // children: items; for a dict key, value, key, value
  attribute,
  subscript,
  slice,
  call,  // children[0] is the object; a slice has begin, end, step behind it, null where absent
  filter,
  test,  // text is the name, children[0] the input
  negate,
  plus,
  logical_not,
  logical_and,
  logical_or,
  conditional,  // conditional: value, condition, other or null
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  concat,
  compare,  // children: operands; operators in `comparisons`
};

struct Expression {
  Op op;
  int line;
  int depth = 1;  // of the tree below and with it
  std::string text;
  Value value;
  std::vector<Node> children;
  std::vector<Argument> arguments;
  std::vector<std::string> comparisons;  // "==", "in", "not in", ...
};

enum class Statement : std::uint8_t {
  text,
  output,
  conditional,
  loop,
  set,
  set_block,
  macro,
  call,
  filter,
  with,
  scope,
  break_loop,
  continue_loop
};

struct Block;
using Body = std::vector<std::unique_ptr<Block>>;

struct Branch {
  Node condition;  // null: else
  Body body;
};

struct Parameter {
  std::string name;
  Node fallback;  // null: undefined
};

struct Block {
  Statement kind;
  int line;
  std::string text;                   // of text; the name of a macro
  Node value;                         // output, the iterable, the value of a set, the call or filter
  Node condition;                     // of a loop with `if`
  std::vector<std::string> targets;   // of set and loop
  std::string attribute;              // set ns.attribute
  std::vector<Branch> branches;       // of conditional
  std::vector<Parameter> parameters;  // of macro, call and with
  Body body, otherwise;               // otherwise: the else of a loop
};

}  // namespace bitnet::jinja
