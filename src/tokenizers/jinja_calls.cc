// What expressions reach: attributes and items of values, macros, functions, and the loop variable.
#include <algorithm>
#include <ctime>

#include "common/error.h"
#include "tokenizers/jinja_interpreter.h"

namespace bitnet::jinja {

List Interpreter::iterate(const Value& value) {
  List items;
  switch (value.kind()) {
    case Kind::undefined:
      break;
    case Kind::list:
    case Kind::tuple:
      items = value.items();
      break;
    case Kind::dict:
      for (const auto& pair : value.pairs()) items.push_back(pair.first);
      break;
    case Kind::string: {
      const std::u32string codes = code_points(value.text());
      budget_.elements(codes.size());
      for (const char32_t code : codes) items.emplace_back(from_code_points({&code, 1}));
      break;
    }
    default:
      template_error(fmt::format("an object of type {} cannot be iterated", type_name(value)));
  }
  budget_.elements(items.size() / 8);
  return items;
}

Value Interpreter::loop_value(const List& items, std::size_t index, const std::shared_ptr<Value>& changed) {
  const auto i = static_cast<std::int64_t>(index), n = static_cast<std::int64_t>(items.size());
  Dict pairs;
  const auto add = [&](const char* name, Value value) { pairs.emplace_back(Value(std::string(name)), std::move(value)); };
  add("index", Value(i + 1)), add("index0", Value(i)), add("revindex", Value(n - i)), add("revindex0", Value(n - i - 1));
  add("first", Value(i == 0)), add("last", Value(i + 1 == n)), add("length", Value(n)), add("depth", Value(std::int64_t{1})),
      add("depth0", Value(std::int64_t{0}));
  add("previtem", index > 0 ? items[index - 1] : Value::undefined("previtem"));
  add("nextitem", index + 1 < items.size() ? items[index + 1] : Value::undefined("nextitem"));
  const auto method = [&](Callable::Kind kind, const char* name) {
    Callable callable{.kind = kind, .name = name, .self = {}, .caller = {}, .index = index, .previous = changed};
    add(name, Value::callable(std::make_shared<const Callable>(std::move(callable))));
  };
  method(Callable::Kind::loop_cycle, "cycle"), method(Callable::Kind::loop_changed, "changed");
  return Value::dict(std::move(pairs));
}

Value Interpreter::attribute(const Value& object, const std::string& name) {
  if (object.is(Kind::undefined))
    template_error(fmt::format("'{}' is undefined, it has no '{}'", printable(object.text()), printable(name)));
  if (name.starts_with('_')) return Value::undefined(name);
  if (has_method(object, name)) {
    Callable method{.kind = Callable::Kind::method, .name = name, .self = object, .caller = {}, .previous = {}};
    return Value::callable(std::make_shared<const Callable>(std::move(method)));
  }
  if (object.is(Kind::dict) || object.is(Kind::name_space)) {
    const Value* found = object.find(Value(name));
    if (found != nullptr) return *found;
  }
  return Value::undefined(name);
}

Value Interpreter::subscript(const Value& object, const Value& key) {
  if (object.is(Kind::undefined)) template_error(fmt::format("'{}' is undefined, it has no items", printable(object.text())));
  if (object.is(Kind::dict) || object.is(Kind::name_space)) {
    budget_.elements(object.pairs().size() / 16);
    const Value* found = object.find(key);
    if (found != nullptr) return *found;
  } else if (key.is_whole() && (object.is_sequence() || object.is(Kind::string))) {
    const std::u32string codes = object.is(Kind::string) ? code_points(object.text()) : std::u32string();
    budget_.elements(codes.size() / 64);
    const auto size = static_cast<std::int64_t>(object.is(Kind::string) ? codes.size() : object.items().size());
    const std::int64_t i = key.integer() < 0 ? key.integer() + size : key.integer();
    if (i < 0 || i >= size) return Value::undefined("item " + to_text(key));
    if (object.is(Kind::string)) return Value(from_code_points({&codes[static_cast<std::size_t>(i)], 1}));
    return object.items()[static_cast<std::size_t>(i)];
  }
  return key.is(Kind::string) ? attribute(object, key.text()) : Value::undefined(to_text(key));
}

Value Interpreter::call(const Callable& callable, const CallArguments& arguments, const Value& caller) {
  switch (callable.kind) {
    case Callable::Kind::macro:
      return call_macro(callable, arguments, caller);
    case Callable::Kind::function:
      return call_function(callable.name, arguments);
    case Callable::Kind::method:
      return call_method(*this, callable.self, callable.name, arguments);
    case Callable::Kind::loop_cycle:
      if (arguments.positional.empty()) template_error("loop.cycle needs values");
      return arguments.positional[callable.index % arguments.positional.size()];
    case Callable::Kind::loop_changed:
      break;
  }
  const Value now = Value::list(arguments.positional, true);
  const bool changed = !equal(*callable.previous, now);
  *callable.previous = now;
  return Value(changed);
}

Value Interpreter::call_macro(const Callable& callable, const CallArguments& arguments, const Value& caller) {
  const Level level(budget_);
  const Block& macro = *callable.macro;
  if (arguments.positional.size() > macro.parameters.size()) {
    template_error(fmt::format("{} takes {} arguments, {} are given", printable(callable.name), macro.parameters.size(),
                               arguments.positional.size()));
  }
  Scope scope;
  for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
    const Parameter& parameter = macro.parameters[i];
    const Value* given = arguments.find(parameter.name, i);
    scope[parameter.name] = given != nullptr     ? *given
                            : parameter.fallback ? evaluate(*parameter.fallback)
                                                 : Value::undefined(parameter.name);
  }
  for (const auto& [name, value] : arguments.named) {
    if (scope.find(name) == scope.end())
      template_error(fmt::format("{} has no argument '{}'", printable(callable.name), printable(name)));
  }
  if (!caller.is(Kind::undefined)) scope["caller"] = caller;
  // A macro sees what stands at the top of the template, not where it is called from; what a call block holds sees its
  // surroundings.
  std::vector<Scope> outside;
  if (macro.kind == Statement::macro) outside.assign(scopes_.begin() + 1, scopes_.end()), scopes_.resize(1);
  scopes_.push_back(std::move(scope));
  std::string out;
  execute(macro.body, out);
  scopes_.pop_back();
  scopes_.insert(scopes_.end(), std::make_move_iterator(outside.begin()), std::make_move_iterator(outside.end()));
  return Value(budget_.text(out));
}

Value Interpreter::call_function(const std::string& name, const CallArguments& arguments) {
  if (name == "raise_exception")
    template_error(arguments.positional.empty() ? "" : printable(to_text(arguments.positional[0]), 512));
  if (name == "namespace" || name == "dict") {
    Dict pairs;
    if (!arguments.positional.empty() && arguments.positional[0].is(Kind::dict)) pairs = arguments.positional[0].pairs();
    for (const auto& [key, value] : arguments.named) pairs.emplace_back(Value(key), value);
    const Value made = Value::dict(pairs);
    budget_.check_depth(made);
    return name == "dict" ? made : Value::name_space(std::move(pairs));
  }
  if (name == "strftime_now") {
    const Value* format = arguments.find("format", 0);
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    char text[256];
    localtime_r(&now, &parts);
    if (format == nullptr || !format->is(Kind::string)) template_error("strftime_now needs a format");
    return Value(std::string(text, std::strftime(text, sizeof text, format->text().c_str(), &parts)));
  }
  std::int64_t bounds[3] = {0, 0, 1};
  const std::size_t count = arguments.positional.size();
  if (count < 1 || count > 3) template_error("range takes 1 to 3 arguments");
  for (std::size_t i = 0; i < count; ++i) bounds[count == 1 ? 1 : i] = whole(arguments.positional[i], "an argument of range");
  if (bounds[2] == 0) template_error("range has a step of 0");
  List items;
  for (std::int64_t i = bounds[0]; bounds[2] > 0 ? i < bounds[1] : i > bounds[1];) {
    budget_.step();
    items.emplace_back(i);
    if (__builtin_add_overflow(i, bounds[2], &i)) break;
  }
  return Value::list(std::move(items));
}

}  // namespace bitnet::jinja
