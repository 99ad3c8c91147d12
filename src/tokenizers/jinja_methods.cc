// The methods of lists, tuples, dicts and loops, and the functions of the global scope.
#include <array>
#include <ctime>

#include "tokenizers/jinja_builtins.h"
#include "tokenizers/jinja_format.h"
#include "tokenizers/jinja_operators.h"

namespace bitnet::jinja {
namespace {

Value list_index(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("index", arguments, {"value"});
  for (std::size_t i = 0; i < self.items().size(); ++i) {
    if (equal(budget, self.items()[i], p.required(0))) return Value(static_cast<std::int64_t>(i));
  }
  template_error("index: the value is not in the {}", type_name(self));
}

Value list_count(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("count", arguments, {"value"});
  std::int64_t count = 0;
  for (const Value& item : self.items()) count += equal(budget, item, p.required(0));
  return Value(count);
}

Value itself(Budget&, const Value& self, const CallArguments& arguments) {
  const Parameters p("copy", arguments, {});
  return self;  // containers never change, so a copy is the same thing
}

Value dict_get(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("get", arguments, {"key", "default"});
  check_key(p.required(0));
  if (const Value* found = find(budget, self.pairs(), p.required(0))) return *found;
  return p.get(1) != nullptr ? *p.get(1) : Value::none();
}

Value dict_items(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("items", arguments, {});
  List items;
  for (const auto& [key, value] : self.pairs()) items.push_back(Value::list(budget, {key, value}, Kind::tuple));
  return Value::list(budget, std::move(items));
}

Value dict_keys(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("keys", arguments, {});
  return Value::list(budget, elements(budget, self));
}

Value dict_values(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("values", arguments, {});
  List items;
  for (const auto& pair : self.pairs()) items.push_back(pair.second);
  return Value::list(budget, std::move(items));
}

Value loop_cycle(Budget&, const Value& self, const CallArguments& arguments) {
  if (arguments.positional.empty()) template_error("loop.cycle needs values");
  return arguments.positional[self.loop().index % arguments.positional.size()];
}

Value loop_changed(Budget& budget, const Value& self, const CallArguments& arguments) {
  Value now = Value::list(budget, arguments.positional, Kind::tuple);
  Value& before = self.loop().changed_before;
  if (equal(budget, before, now)) return Value(false);
  before = std::move(now);
  return Value(true);
}

Value range(Budget& budget, const Value&, const CallArguments& arguments) {
  const Parameters p("range", arguments, {"start", "stop", "step"});
  p.required(0);
  const bool one = p.get(1) == nullptr;
  const std::int64_t start = one ? 0 : p.whole(0, 0), stop = one ? p.whole(0, 0) : p.whole(1, 0), step = p.whole(2, 1);
  if (step == 0) template_error("range has the step 0");
  List items;
  std::int64_t at = start;
  while (step > 0 ? at < stop : at > stop) {
    budget.step();
    items.emplace_back(at);
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  return Value::list(budget, std::move(items));
}

// dict(**items), dict(mapping, **items) and the same for namespace.
Dict keyword_pairs(Budget& budget, std::string_view function, const CallArguments& arguments) {
  Dict pairs;
  if (arguments.positional.size() > 1) template_error("{} takes at most one argument without a name", function);
  if (!arguments.positional.empty()) {
    const Value& base = arguments.positional[0];
    if (!base.is(Kind::dict)) template_error("{} wants a dict, not a {}", function, type_name(base));
    budget.step(base.pairs().size());
    pairs = base.pairs();
  }
  for (const auto& [name, value] : arguments.named) insert(budget, pairs, Value(std::string(name)), value);
  return pairs;
}

Value make_dict(Budget& budget, const Value&, const CallArguments& arguments) {
  return Value::dict(budget, keyword_pairs(budget, "dict", arguments));
}

Value make_name_space(Budget& budget, const Value&, const CallArguments& arguments) {
  // A dict of the same content first: what a namespace may hold is what a dict may hold.
  return Value::name_space(Value::dict(budget, keyword_pairs(budget, "namespace", arguments)).pairs());
}

Value raise_exception(Budget& budget, const Value&, const CallArguments& arguments) {
  const Parameters p("raise_exception", arguments, {"message"});
  template_error("{}", printable(to_text(budget, p.required(0)), 1000));
}

Value strftime_now(Budget& budget, const Value&, const CallArguments& arguments) {
  const Parameters p("strftime_now", arguments, {"format"});
  const std::string& format = p.string(0);
  if (format.size() > 200) template_error("strftime_now: the format has {} bytes, at most 200 are allowed", format.size());
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::array<char, 4096> text;
  const std::size_t size = std::strftime(text.data(), text.size(), format.c_str(), &local);
  budget.string(size);
  return Value(std::string(text.data(), size));
}

constexpr std::array<Builtin, 3> list_methods = {{{"index", list_index}, {"count", list_count}, {"copy", itself}}};
constexpr std::array<Builtin, 5> dict_methods = {
    {{"get", dict_get}, {"items", dict_items}, {"keys", dict_keys}, {"values", dict_values}, {"copy", itself}}};
constexpr std::array<Builtin, 2> loop_methods = {{{"cycle", loop_cycle}, {"changed", loop_changed}}};
constexpr std::array<Builtin, 5> functions = {{{"range", range},
                                               {"dict", make_dict},
                                               {"namespace", make_name_space},
                                               {"raise_exception", raise_exception},
                                               {"strftime_now", strftime_now}}};

}  // namespace

const Builtin* find_method(Kind kind, std::string_view name) {
  switch (kind) {
    case Kind::string:
      return find_string_method(name);
    case Kind::list:
    case Kind::tuple:
      return find_row(list_methods, name);
    case Kind::dict:
      return find_row(dict_methods, name);
    case Kind::loop:
      return find_row(loop_methods, name);
    default:
      return nullptr;
  }
}

const Builtin* find_function(std::string_view name) { return find_row(functions, name); }

}  // namespace bitnet::jinja
