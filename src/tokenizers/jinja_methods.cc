// Methods of strings, dicts and lists.
#include <algorithm>
#include <array>

#include "common/error.h"
#include "common/utf8.h"
#include "tokenizers/jinja_interpreter.h"
#include "tokenizers/jinja_text.h"
#include "tokenizers/unicode.h"

namespace bitnet::jinja {
namespace {

using Names = std::initializer_list<std::string_view>;

bool is_one_of(std::string_view name, Names names) { return std::find(names.begin(), names.end(), name) != names.end(); }

const std::string& text_argument(const CallArguments& arguments, std::string_view name, std::size_t position) {
  const Value* value = arguments.find(name, position);
  if (value == nullptr || !value->is(Kind::string)) template_error(fmt::format("argument {} must be a string", position + 1));
  return value->text();
}

// split(separator or white space, most): from the left, or from the right.
Value split(Budget& budget, const std::string& text, const CallArguments& arguments, bool from_right) {
  const Value* separator = arguments.find("sep", 0);
  const Value* most_value = arguments.find("maxsplit", 1);
  std::int64_t most = most_value == nullptr ? -1 : whole(*most_value, "maxsplit");
  if (most < 0) most = INT64_MAX;
  std::vector<std::string> parts;
  if (separator == nullptr || separator->is(Kind::none)) {
    parts = split_white_space(text, most, from_right);
  } else {
    if (!separator->is(Kind::string) || separator->text().empty())
      template_error("the separator must be a string that is not empty");
    parts = split_by(text, separator->text(), most, from_right);
  }
  budget.elements(parts.size());
  List items;
  for (std::string& part : parts) items.emplace_back(std::move(part));
  return Value::list(std::move(items));
}

// True when the text starts (or ends) with one of the given strings.
bool has_affix(const std::string& text, const CallArguments& arguments, bool at_start) {
  const Value* affix = arguments.find("prefix", 0);
  if (affix == nullptr) template_error("startswith and endswith need an argument");
  const List choices = affix->is(Kind::tuple) ? affix->items() : List{*affix};
  return std::any_of(choices.begin(), choices.end(), [&](const Value& choice) {
    if (!choice.is(Kind::string)) template_error("startswith and endswith need strings");
    return at_start ? text.starts_with(choice.text()) : text.ends_with(choice.text());
  });
}

bool all_in(const std::string& text, bool (*accepts)(char32_t)) {
  const std::u32string codes = code_points(text);
  return !codes.empty() && std::all_of(codes.begin(), codes.end(), accepts);
}

std::int64_t count(const std::string& text, const std::string& part) {
  if (part.empty()) return static_cast<std::int64_t>(code_points(text).size()) + 1;
  std::int64_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

Value string_method(Interpreter& in, const std::string& text, const std::string& name, const CallArguments& arguments) {
  Budget& budget = in.budget();
  budget.elements(text.size() / 16);
  if (is_one_of(name, {"strip", "lstrip", "rstrip"})) {
    const Value* chars = arguments.find("chars", 0);
    const bool any_space = chars == nullptr || chars->is(Kind::none);
    return Value(strip(text, any_space ? nullptr : &text_argument(arguments, "chars", 0), name != "rstrip", name != "lstrip"));
  }
  if (name == "split") return split(budget, text, arguments, false);
  if (name == "rsplit") return split(budget, text, arguments, true);
  if (name == "splitlines") {
    List lines;
    for (std::string& line : split_lines(text)) lines.emplace_back(std::move(line));
    return Value::list(std::move(lines));
  }
  if (name == "startswith") return Value(has_affix(text, arguments, true));
  if (name == "endswith") return Value(has_affix(text, arguments, false));
  if (name == "replace") {
    const Value* most = arguments.find("count", 2);
    return Value(budget.text(replace(text, text_argument(arguments, "old", 0), text_argument(arguments, "new", 1),
                                     most == nullptr ? -1 : whole(*most, "count"), budget.limits().output_bytes)));
  }
  if (name == "upper") return Value(upper(text));
  if (name == "lower") return Value(lower(text));
  if (name == "title") return Value(title(text));
  if (name == "capitalize") return Value(capitalize(text));
  if (name == "join")
    return in.apply_filter("join", arguments.positional.empty() ? Value() : arguments.positional[0], {{Value(text)}, {}});
  if (name == "find") {
    const std::size_t at = text.find(text_argument(arguments, "sub", 0));
    return Value(at == std::string::npos ? std::int64_t{-1}
                                         : static_cast<std::int64_t>(code_points(text.substr(0, at)).size()));
  }
  if (name == "count") return Value(count(text, text_argument(arguments, "sub", 0)));
  if (name == "isdigit" || name == "isdecimal" || name == "isnumeric") return Value(all_in(text, unicode::is_number));
  if (name == "isalpha") return Value(all_in(text, unicode::is_letter));
  if (name == "isalnum") return Value(all_in(text, [](char32_t c) { return unicode::is_letter(c) || unicode::is_number(c); }));
  if (name == "isspace") return Value(all_in(text, unicode::is_white_space));
  if (name == "isupper") return Value(upper(text) == text && lower(text) != text);
  if (name == "islower") return Value(lower(text) == text && upper(text) != text);
  if (name == "removeprefix" || name == "removesuffix") {
    const std::string& affix = text_argument(arguments, "prefix", 0);
    const bool start = name == "removeprefix", has = start ? text.starts_with(affix) : text.ends_with(affix);
    return Value(!has ? text : start ? text.substr(affix.size()) : text.substr(0, text.size() - affix.size()));
  }
  template_error(fmt::format("the string method '{}' is not supported", name));
}

Value dict_method(Interpreter& in, const Value& self, const std::string& name, const CallArguments& arguments) {
  in.budget().elements(self.pairs().size());
  if (name == "get") {
    const Value* key = arguments.find("key", 0);
    if (key == nullptr) template_error("get needs a key");
    const Value *found = self.find(*key), *fallback = arguments.find("default", 1);
    return found != nullptr ? *found : fallback != nullptr ? *fallback : Value::none();
  }
  if (name == "copy") return self;
  if (!is_one_of(name, {"keys", "values", "items"}))
    template_error(fmt::format("'{}' would change a dict, which templates may not", name));
  List items;
  for (const auto& [key, value] : self.pairs()) {
    if (name == "items")
      items.push_back(Value::list({key, value}, true));
    else
      items.push_back(name == "keys" ? key : value);
  }
  return Value::list(std::move(items));
}

Value list_method(Interpreter& in, const Value& self, const std::string& name, const CallArguments& arguments) {
  const Value* item = arguments.find("value", 0);
  in.budget().elements(self.items().size());
  if (name == "copy") return self;
  if (item == nullptr || !is_one_of(name, {"index", "count"}))
    template_error(fmt::format("'{}' would change a list, which templates may not", name));
  const auto& items = self.items();
  const auto same = [&](const Value& x) { return equal(x, *item); };
  if (name == "count") return Value(static_cast<std::int64_t>(std::count_if(items.begin(), items.end(), same)));
  const auto found = std::find_if(items.begin(), items.end(), same);
  if (found == items.end()) template_error("index: the list has no such item");
  return Value(static_cast<std::int64_t>(found - items.begin()));
}

}  // namespace

bool has_method(const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Kind::string:
      return is_one_of(name, {"strip",    "lstrip",  "rstrip",  "split",        "rsplit",      "splitlines", "startswith",
                              "endswith", "replace", "upper",   "lower",        "title",       "capitalize", "join",
                              "find",     "count",   "isdigit", "isdecimal",    "isnumeric",   "isalpha",    "isalnum",
                              "isspace",  "isupper", "islower", "removeprefix", "removesuffix"});
    case Kind::dict:
      return is_one_of(name, {"get", "keys", "values", "items", "copy", "update", "pop", "popitem", "clear", "setdefault"});
    case Kind::list:
      return is_one_of(name,
                       {"index", "count", "copy", "append", "extend", "insert", "pop", "remove", "reverse", "sort", "clear"});
    case Kind::tuple:
      return is_one_of(name, {"index", "count"});
    default:
      return false;
  }
}

Value call_method(Interpreter& interpreter, const Value& self, const std::string& name, const CallArguments& arguments) {
  if (self.is(Kind::string)) return string_method(interpreter, self.text(), name, arguments);
  return self.is(Kind::dict) ? dict_method(interpreter, self, name, arguments)
                             : list_method(interpreter, self, name, arguments);
}

}  // namespace bitnet::jinja
