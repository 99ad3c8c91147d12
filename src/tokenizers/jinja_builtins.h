// The filters, tests, methods and functions a template can call by name.
#pragma once

#include <array>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizers/jinja_value.h"

namespace bitnet::jinja {

struct CallArguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> named;
};

// `self` is the filter's or test's input or the method's object; undefined for a function.
using BuiltinFunction = Value (*)(Budget& budget, const Value& self, const CallArguments& arguments);
struct Builtin {
  std::string_view name;
  BuiltinFunction run;
};

// Null when there is none of that name.
const Builtin* find_filter(std::string_view name);
const Builtin* find_test(std::string_view name);  // its result is a boolean
const Builtin* find_function(std::string_view name);
const Builtin* find_method(Kind kind, std::string_view name);

// Their parts, each in a file of its own.
const Builtin* find_text_filter(std::string_view name);
const Builtin* find_sequence_filter(std::string_view name);
const Builtin* find_string_method(std::string_view name);

// The row of that name in a table; null when there is none.
template <std::size_t n>
const Builtin* find_row(const std::array<Builtin, n>& table, std::string_view name) {
  for (const Builtin& row : table) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

struct Block;

// A value that can be called: a macro, or a builtin bound to its object.
struct Callable {
  const Builtin* builtin = nullptr;
  Value self;
  const Block* macro = nullptr;
  std::size_t scope = 0;  // of the macro: the scope it was defined in, with its serial number
  std::uint64_t serial = 0;
};

// Arguments matched with the names of parameters. Views `arguments`, which must outlive it.
class Parameters {
 public:
  // Throws Error{usage} for too many arguments, unknown names and doubles; `function` names the callee in errors.
  Parameters(std::string_view function, const CallArguments& arguments, std::initializer_list<std::string_view> names);

  const Value* get(std::size_t i) const { return values_[i]; }                                      // null when not given
  bool given(std::size_t i) const { return values_[i] != nullptr && !values_[i]->is(Kind::none); }  // and is not None
  const Value& required(std::size_t i) const;
  std::string text(Budget& budget, std::size_t i, std::string_view fallback) const;  // str() of it
  const std::string& string(std::size_t i) const;                                    // required, and a string
  std::int64_t whole(std::size_t i, std::int64_t fallback) const;
  bool flag(std::size_t i, bool fallback) const;

 private:
  std::string_view function_;
  std::array<std::string_view, 4> names_{};
  std::array<const Value*, 4> values_{};
};

}  // namespace bitnet::jinja
