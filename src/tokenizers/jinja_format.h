// Text forms of template values: Python's str(), repr(), json.dumps() and %.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tokenizers/jinja_value.h"

namespace bitnet::jinja {

// All throw Error{usage} when the text would pass the budget's limit.
std::string to_text(Budget& budget, const Value& value);  // str(): a string as it is, undefined is empty
std::string to_repr(Budget& budget, const Value& value);
std::string real_to_text(double value);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  // of one level; absent: everything on one line
  std::string item_separator = ", ", key_separator = ": ";
};
// json.dumps(); throws Error{usage} for undefined values and objects, which have no JSON form.
std::string to_json(Budget& budget, const Value& value, const JsonStyle& style);

// format % arguments (a tuple, or one value), with the conversions s r d i u f F e E g G x X o c %.
std::string percent_format(Budget& budget, const std::string& format, const Value& arguments);

}  // namespace bitnet::jinja
