// How statements run: scopes, loops, macros.
#include "tokenizers/jinja_interpreter.h"

#include <algorithm>

#include "tokenizers/jinja_format.h"
#include "tokenizers/jinja_operators.h"

namespace bitnet::jinja {

class Interpreter::OpenScope {
 public:
  explicit OpenScope(Interpreter& interpreter) : OpenScope(interpreter, interpreter.scopes_.size() - 1) {}
  OpenScope(Interpreter& interpreter, std::size_t parent) : interpreter_(interpreter) {
    interpreter.scopes_.push_back({{}, parent, ++interpreter.scopes_made_});
  }
  ~OpenScope() { interpreter_.scopes_.pop_back(); }
  OpenScope(const OpenScope&) = delete;
  OpenScope& operator=(const OpenScope&) = delete;

 private:
  Interpreter& interpreter_;
};

Interpreter::Interpreter(const TemplateLimits& limits, const nlohmann::ordered_json& context) : budget_(limits) {
  if (!context.is_object()) template_error("the context is no object");
  context_ = from_json(budget_, context, limits.depth);
  scopes_.push_back({{}, 0, 0});
  for (const auto& [name, value] : context_.pairs()) scopes_[0].names[name.text()] = value;
}

std::string Interpreter::run(const Body& body) {
  std::string out;
  execute(body, out);
  return out;
}

Interpreter::Flow Interpreter::execute(const Body& body, std::string& out) {
  for (const Block& block : body) {
    budget_.step();
    line_ = block.line;
    if (const Flow flow = execute(block, out); flow != Flow::next) return flow;
  }
  return Flow::next;
}

Interpreter::Flow Interpreter::execute(const Block& block, std::string& out) {
  switch (block.kind) {
    case BlockKind::text:
      write(out, block.text);
      return Flow::next;
    case BlockKind::output:
      write(out, evaluate(*block.value));
      return Flow::next;
    case BlockKind::set:
      assign(block, evaluate(*block.value));
      return Flow::next;
    case BlockKind::macro:
      scopes_.back().names[block.text] = callable(block);
      return Flow::next;
    case BlockKind::call:
      execute_call(block, out);
      return Flow::next;
    case BlockKind::conditional:
      return execute_conditional(block, out);
    case BlockKind::loop:
      return execute_loop(block, out);
    case BlockKind::set_block:
    case BlockKind::filter:
      return execute_captured(block, out);
    case BlockKind::with:
      return execute_with(block, out);
    case BlockKind::generation:
      return execute_in_scope(block.body, out);
    case BlockKind::break_loop:
      return Flow::break_loop;
    case BlockKind::continue_loop:
      return Flow::continue_loop;
  }
  return Flow::next;
}

Interpreter::Flow Interpreter::execute_conditional(const Block& block, std::string& out) {
  const Budget::Nested nested(budget_);
  for (const Branch& branch : block.branches) {
    if (!branch.condition || truth(evaluate(*branch.condition))) return execute(branch.body, out);
  }
  return Flow::next;
}

Interpreter::Flow Interpreter::execute_in_scope(const Body& body, std::string& out) {
  const Budget::Nested nested(budget_);
  const OpenScope scope(*this);
  return execute(body, out);
}

Interpreter::Flow Interpreter::execute_loop(const Block& block, std::string& out) {
  const Budget::Nested nested(budget_);
  const auto loop = std::make_shared<Loop>();
  loop->items = evaluate(*block.value);
  if (block.condition)
    loop->items = filtered_items(block, elements(budget_, loop->items));
  else if (!loop->items.is_sequence())
    loop->items = Value::list(budget_, elements(budget_, loop->items));
  bool completed = false;
  for (; loop->index < loop->items.items().size(); ++loop->index) {
    const OpenScope scope(*this);
    budget_.step();
    assign(block, loop->items.items()[loop->index]);
    scopes_.back().names["loop"] = Value::loop(loop);
    const Flow flow = execute(block.body, out);
    if (flow == Flow::break_loop) break;
    completed = completed || flow == Flow::next;
  }
  // As in Jinja: iterations that all end in break or continue do not count.
  return completed ? Flow::next : execute_in_scope(block.otherwise, out);
}

Value Interpreter::filtered_items(const Block& block, const List& items) {
  List kept;
  for (const Value& item : items) {
    const OpenScope scope(*this);
    budget_.step();
    assign(block, item);
    if (truth(evaluate(*block.condition))) kept.push_back(item);
  }
  return Value::list(budget_, std::move(kept));
}

Interpreter::Flow Interpreter::execute_captured(const Block& block, std::string& out) {
  std::string text;
  if (const Flow flow = execute_in_scope(block.body, text); flow != Flow::next) return flow;
  Value value(std::move(text));
  if (block.value) {
    block_text_ = value;
    value = evaluate(*block.value);
  }
  if (block.kind == BlockKind::filter)
    write(out, value);
  else
    assign(block, value);
  return Flow::next;
}

Interpreter::Flow Interpreter::execute_with(const Block& block, std::string& out) {
  std::map<std::string_view, Value> names;  // all values are of the scope outside
  for (const Parameter& parameter : block.parameters) names[parameter.name] = evaluate(*parameter.fallback);
  const Budget::Nested nested(budget_);
  const OpenScope scope(*this);
  scopes_.back().names = std::move(names);
  return execute(block.body, out);
}

void Interpreter::execute_call(const Block& block, std::string& out) {
  write(out, evaluate_call(*block.value, callable(block)));
}

void Interpreter::write(std::string& out, std::string_view text) {
  budget_.longer_string(out.size(), text.size());
  out += text;
}

void Interpreter::write(std::string& out, const Value& value) {
  if (value.is(Kind::string))
    write(out, std::string_view(value.text()));
  else
    write(out, std::string_view(to_text(budget_, value)));
}

Value Interpreter::lookup(std::string_view name) const {
  for (std::size_t at = scopes_.size() - 1;; at = scopes_[at].parent) {
    if (const auto found = scopes_[at].names.find(name); found != scopes_[at].names.end()) return found->second;
    if (at == 0) break;
  }
  if (const Builtin* function = find_function(name)) {
    auto made = std::make_shared<Callable>();
    made->builtin = function;
    return Value::callable(std::move(made));
  }
  return Value::undefined(fmt::format("'{}'", printable(name)));
}

void Interpreter::assign(const Block& block, const Value& value) {
  auto& names = scopes_.back().names;
  if (!block.attribute.empty()) {
    const Value object = lookup(block.targets[0]);
    if (!object.is(Kind::name_space))
      template_error("'{}' is no namespace, its attributes cannot be set", printable(block.targets[0]));
    if (value.is_object()) template_error("a {} cannot be put into a namespace", type_name(value));
    insert(budget_, object.mutable_pairs(), Value(block.attribute), value);
  } else if (block.targets.size() == 1) {
    names[block.targets[0]] = value;
  } else {
    const List items = elements(budget_, value);
    if (items.size() != block.targets.size())
      template_error("{} names are given {} values", block.targets.size(), items.size());
    for (std::size_t i = 0; i < items.size(); ++i) names[block.targets[i]] = items[i];
  }
}

Value Interpreter::callable(const Block& block) const {
  auto made = std::make_shared<Callable>();
  made->macro = &block;
  made->scope = scopes_.size() - 1;
  made->serial = scopes_.back().serial;
  return Value::callable(std::move(made));
}

Value Interpreter::call_macro(const Callable& callable, const CallArguments& arguments, const Value& caller) {
  const Budget::Nested nested(budget_);
  if (callable.scope >= scopes_.size() || scopes_[callable.scope].serial != callable.serial) {
    template_error("a macro is called after the block it was defined in");
  }
  const OpenScope scope(*this, callable.scope);
  const Block& macro = *callable.macro;
  if (macro.kind == BlockKind::macro) scopes_.back().names["caller"] = caller;
  bind_parameters(macro, arguments);
  std::string out;
  execute(macro.body, out);
  return Value(std::move(out));
}

void Interpreter::bind_parameters(const Block& macro, const CallArguments& arguments) {
  const auto& parameters = macro.parameters;
  if (arguments.positional.size() > parameters.size()) {
    template_error("{} takes at most {} arguments, {} are given", printable(macro.text), parameters.size(),
                   arguments.positional.size());
  }
  const auto given = [&](std::string_view name) {
    return std::find_if(arguments.named.begin(), arguments.named.end(), [&](const auto& a) { return a.first == name; });
  };
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::find_if(parameters.begin(), parameters.end(), [&](const Parameter& p) { return p.name == name; });
    const auto position = static_cast<std::size_t>(found - parameters.begin());
    if (found == parameters.end()) template_error("{} has no argument '{}'", printable(macro.text), printable(name));
    if (position < arguments.positional.size())
      template_error("{} is given '{}' twice", printable(macro.text), printable(name));
  }
  budget_.step(parameters.size() * (1 + arguments.named.size()));
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    Value value = Value::undefined(fmt::format("'{}'", printable(parameters[i].name)));
    const auto named = given(parameters[i].name);
    if (i < arguments.positional.size())
      value = arguments.positional[i];
    else if (named != arguments.named.end())
      value = named->second;
    else if (parameters[i].fallback)
      value = evaluate(*parameters[i].fallback);
    scopes_.back().names[parameters[i].name] = std::move(value);
  }
}

}  // namespace bitnet::jinja
