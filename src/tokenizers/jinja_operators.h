// What operators, subscripts and attributes do to values.
#pragma once

#include <string_view>

#include "tokenizers/jinja_value.h"

namespace bitnet::jinja {

enum class Binary : std::uint8_t {
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  concat,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  not_in,
};

// All throw Error{usage} for types that do not fit, for integers past 64 bits and for a passed limit.
Value arithmetic(Budget& budget, Binary op, const Value& a, const Value& b);  // add to concat
bool relation(Budget& budget, Binary op, const Value& a, const Value& b);     // equal to not_in
Value negate(const Value& value);
bool contains(Budget& budget, const Value& container, const Value& item);

std::int64_t length(Budget& budget, const Value& value);
List elements(Budget& budget, const Value& value);  // what a loop goes over: items, characters, keys; none for undefined

// object[key], object.name, object[begin:end:step] (undefined or none: not given). What is not there is an undefined value; to
// look into an undefined value is an Error. A method of a type is an attribute of its values.
Value subscript(Budget& budget, const Value& object, const Value& key);
Value attribute(Budget& budget, const Value& object, std::string_view name);
Value slice(Budget& budget, const Value& object, const Value& begin, const Value& end, const Value& step);

}  // namespace bitnet::jinja
