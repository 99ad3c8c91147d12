// Executes statements and evaluates expressions.
#include "tokenizers/jinja_interpreter.h"

#include <algorithm>
#include <array>

#include "common/error.h"

namespace bitnet::jinja {

void template_error(const std::string& fact) { throw Error(ErrorKind::usage, fact); }

const Value* CallArguments::find(std::string_view name, std::size_t position) const {
  if (position < positional.size()) return &positional[position];
  for (const auto& [key, value] : named) {
    if (key == name) return &value;
  }
  return nullptr;
}

Level::Level(Budget& budget) : budget_(budget) {
  if (++budget_.depth() > 4 * budget_.limits().depth)
    template_error(fmt::format("calls and expressions are nested deeper than {}", 4 * budget_.limits().depth));
}

void Budget::step(std::uint64_t count) {
  steps_ += count;
  if (steps_ > limits_.steps) template_error(fmt::format("the template takes more than {} steps", limits_.steps));
}

const std::string& Budget::text(const std::string& made) {
  if (made.size() > limits_.output_bytes) template_error(fmt::format("a text is longer than {} bytes", limits_.output_bytes));
  step(made.size() / 64);
  return made;
}

void Budget::check_depth(const Value& container) const {
  if (container.depth() > limits_.depth)
    template_error(fmt::format("a value is nested deeper than {}, or holds what cannot be held", limits_.depth));
}

namespace {

constexpr std::array<std::string_view, 5> functions = {"range", "namespace", "dict", "raise_exception", "strftime_now"};
constexpr std::string_view body_name =
    "\x01"
    "body";  // what a filter block or a filtered set works on

}  // namespace

Interpreter::Interpreter(const TemplateLimits& limits, Value context) : budget_(limits), scopes_(1) {
  for (const auto& [key, value] : context.pairs()) scopes_[0][key.text()] = value;
}

std::string Interpreter::run(const Body& body) {
  std::string out;
  execute(body, out);
  return out;
}

void Interpreter::write(std::string& out, const std::string& text) {
  out += text;
  budget_.step(1 + text.size() / 64);
  if (out.size() > budget_.limits().output_bytes)
    template_error(fmt::format("the result is longer than {} bytes", budget_.limits().output_bytes));
}

std::string Interpreter::capture(const Body& body) {
  std::string out;
  scopes_.emplace_back();
  execute(body, out);
  scopes_.pop_back();
  return out;
}

Interpreter::Flow Interpreter::execute(const Body& body, std::string& out) {
  const Level level(budget_);
  for (const auto& block : body) {
    const Flow flow = execute(*block, out);
    if (flow != Flow::next) return flow;
  }
  return Flow::next;
}

Interpreter::Flow Interpreter::execute(const Block& block, std::string& out) {
  line_ = block.line;
  budget_.step();
  switch (block.kind) {
    case Statement::text:
      write(out, block.text);
      break;
    case Statement::output:
      write(out, to_text(evaluate(*block.value)));
      break;
    case Statement::conditional:
      for (const Branch& branch : block.branches) {
        if (!branch.condition || truth(evaluate(*branch.condition))) return execute(branch.body, out);
      }
      break;
    case Statement::loop:
      return execute_loop(block, out);
    case Statement::set:
    case Statement::set_block:
      execute_set(block);
      break;
    case Statement::macro: {
      Callable macro{
          .kind = Callable::Kind::macro, .name = block.text, .macro = &block, .self = {}, .caller = {}, .previous = {}};
      scopes_.back()[block.text] = Value::callable(std::make_shared<const Callable>(std::move(macro)));
      break;
    }
    case Statement::call: {
      Callable caller{
          .kind = Callable::Kind::macro, .name = "caller", .macro = &block, .self = {}, .caller = {}, .previous = {}};
      write(out, to_text(evaluate_call(*block.value, Value::callable(std::make_shared<const Callable>(std::move(caller))))));
      break;
    }
    case Statement::filter: {
      scopes_.push_back({{std::string(body_name), Value(capture(block.body))}});
      write(out, to_text(evaluate(*block.value)));
      scopes_.pop_back();
      break;
    }
    case Statement::with: {
      Scope scope;
      for (const Parameter& parameter : block.parameters) scope[parameter.name] = evaluate(*parameter.fallback);
      scopes_.push_back(std::move(scope));
      const Flow flow = execute(block.body, out);
      scopes_.pop_back();
      return flow;
    }
    case Statement::scope:
      write(out, capture(block.body));
      break;
    case Statement::break_loop:
      return Flow::break_loop;
    case Statement::continue_loop:
      return Flow::continue_loop;
  }
  return Flow::next;
}

Interpreter::Flow Interpreter::execute_loop(const Block& block, std::string& out) {
  List items = iterate(evaluate(*block.value));
  if (block.condition) {
    List kept;
    for (const Value& item : items) {
      scopes_.emplace_back();
      assign(block.targets, item);
      if (truth(evaluate(*block.condition))) kept.push_back(item);
      scopes_.pop_back();
    }
    items = std::move(kept);
  }
  if (items.empty()) return execute(block.otherwise, out);
  const auto changed = std::make_shared<Value>(Value::undefined("\x01"));
  for (std::size_t i = 0; i < items.size(); ++i) {
    budget_.step();
    scopes_.emplace_back();
    scopes_.back()["loop"] = loop_value(items, i, changed);
    assign(block.targets, items[i]);
    const Flow flow = execute(block.body, out);
    scopes_.pop_back();
    if (flow == Flow::break_loop) break;
  }
  return Flow::next;
}

void Interpreter::execute_set(const Block& block) {
  Value value;
  if (block.kind == Statement::set_block) {
    value = Value(capture(block.body));
    if (block.value) {
      scopes_.push_back({{std::string(body_name), value}});
      value = evaluate(*block.value);
      scopes_.pop_back();
    }
  } else {
    value = evaluate(*block.value);
  }
  if (block.attribute.empty()) return assign(block.targets, value);
  const Value target = lookup(block.targets[0]);
  if (!target.is(Kind::name_space))
    template_error(fmt::format("'{}' is no namespace, its attributes cannot be set", printable(block.targets[0])));
  budget_.check_depth(value);
  for (auto& [key, old] : target.mutable_pairs()) {
    if (key.text() == block.attribute) {
      old = value;
      return;
    }
  }
  target.mutable_pairs().emplace_back(Value(block.attribute), value);
}

void Interpreter::assign(const std::vector<std::string>& targets, const Value& value) {
  if (targets.size() == 1) {
    scopes_.back()[targets[0]] = value;
    return;
  }
  const List items = iterate(value);
  if (items.size() != targets.size()) template_error(fmt::format("{} names are given {} values", targets.size(), items.size()));
  for (std::size_t i = 0; i < targets.size(); ++i) scopes_.back()[targets[i]] = items[i];
}

Value Interpreter::lookup(const std::string& name) {
  for (std::size_t i = scopes_.size(); i-- > 0;) {
    const auto found = scopes_[i].find(name);
    if (found != scopes_[i].end()) return found->second;
  }
  if (std::find(functions.begin(), functions.end(), name) == functions.end()) return Value::undefined(name);
  Callable function{.kind = Callable::Kind::function, .name = name, .self = {}, .caller = {}, .previous = {}};
  return Value::callable(std::make_shared<const Callable>(std::move(function)));
}

Value Interpreter::evaluate(const Expression& e) {
  const Level level(budget_);
  line_ = e.line;
  budget_.step();
  switch (e.op) {
    case Op::literal:
      return e.value;
    case Op::name:
      return lookup(e.text);
    case Op::list:
    case Op::tuple: {
      List items;
      for (const Node& child : e.children) items.push_back(evaluate(*child));
      Value made = Value::list(std::move(items), e.op == Op::tuple);
      budget_.check_depth(made);
      return made;
    }
    case Op::dict: {
      Dict pairs;
      for (std::size_t i = 0; i < e.children.size(); i += 2) {
        const Value key = evaluate(*e.children[i]), value = evaluate(*e.children[i + 1]);
        budget_.elements(pairs.size());
        const auto same = std::find_if(pairs.begin(), pairs.end(), [&](const auto& pair) { return equal(pair.first, key); });
        if (same != pairs.end())
          same->second = value;
        else
          pairs.emplace_back(key, value);
      }
      Value made = Value::dict(std::move(pairs));
      budget_.check_depth(made);
      return made;
    }
    case Op::attribute:
      return attribute(evaluate(*e.children[0]), e.text);
    case Op::subscript:
      return subscript(evaluate(*e.children[0]), evaluate(*e.children[1]));
    case Op::slice:
      return evaluate_slice(e);
    case Op::call:
      return evaluate_call(e, Value());
    case Op::filter:
      return apply_filter(e.text, evaluate(*e.children[0]), evaluate_arguments(e));
    case Op::test:
      return Value(apply_test(e.text, evaluate(*e.children[0]), evaluate_arguments(e)));
    default:
      return evaluate_operator(e);
  }
}

Value Interpreter::evaluate_operator(const Expression& e) {
  switch (e.op) {
    case Op::logical_not:
      return Value(!truth(evaluate(*e.children[0])));
    case Op::logical_and: {
      Value left = evaluate(*e.children[0]);
      return truth(left) ? evaluate(*e.children[1]) : left;
    }
    case Op::logical_or: {
      Value left = evaluate(*e.children[0]);
      return truth(left) ? left : evaluate(*e.children[1]);
    }
    case Op::conditional:
      if (truth(evaluate(*e.children[1]))) return evaluate(*e.children[0]);
      return e.children[2] ? evaluate(*e.children[2]) : Value::undefined("the inline if without else");
    case Op::compare:
      return evaluate_compare(e);
    case Op::concat: {
      const std::string left = to_text(evaluate(*e.children[0]));
      return Value(budget_.text(left + to_text(evaluate(*e.children[1]))));
    }
    case Op::negate:
      return arithmetic(budget_, Op::subtract, Value(std::int64_t{0}), evaluate(*e.children[0]));
    case Op::plus:
      return arithmetic(budget_, Op::add, Value(std::int64_t{0}), evaluate(*e.children[0]));
    case Op::add: {
      const Value left = evaluate(*e.children[0]);
      return add(budget_, left, evaluate(*e.children[1]));
    }
    default: {
      const Value left = evaluate(*e.children[0]);
      return arithmetic(budget_, e.op, left, evaluate(*e.children[1]));
    }
  }
}

Value Interpreter::evaluate_compare(const Expression& e) {
  Value left = evaluate(*e.children[0]);
  for (std::size_t i = 0; i < e.comparisons.size(); ++i) {
    const Value right = evaluate(*e.children[i + 1]);
    const std::string& op = e.comparisons[i];
    bool holds = false;
    if (op == "==")
      holds = equal(left, right);
    else if (op == "!=")
      holds = !equal(left, right);
    else if (op == "in")
      holds = contains(budget_, right, left);
    else if (op == "not in")
      holds = !contains(budget_, right, left);
    else if (op == "<")
      holds = compare(left, right) < 0;
    else if (op == ">")
      holds = compare(left, right) > 0;
    else if (op == "<=")
      holds = compare(left, right) <= 0;
    else
      holds = compare(left, right) >= 0;
    if (!holds) return Value(false);
    left = right;
  }
  return Value(true);
}

Value Interpreter::evaluate_slice(const Expression& e) {
  const Value object = evaluate(*e.children[0]);
  Value parts[3] = {Value::none(), Value::none(), Value::none()};
  for (std::size_t i = 0; i < 3; ++i) {
    if (e.children[i + 1]) parts[i] = evaluate(*e.children[i + 1]);
  }
  return slice(budget_, object, parts[0], parts[1], parts[2]);
}

CallArguments Interpreter::evaluate_arguments(const Expression& e) {
  CallArguments arguments;
  for (const Argument& argument : e.arguments) {
    if (argument.name.empty())
      arguments.positional.push_back(evaluate(*argument.value));
    else
      arguments.named.emplace_back(argument.name, evaluate(*argument.value));
  }
  return arguments;
}

Value Interpreter::evaluate_call(const Expression& e, const Value& caller) {
  const Value callee = evaluate(*e.children[0]);
  if (callee.is(Kind::undefined))
    template_error(fmt::format("'{}' is undefined, it cannot be called", printable(callee.text())));
  if (!callee.is(Kind::callable)) template_error(fmt::format("an object of type {} cannot be called", type_name(callee)));
  return call(callee.function(), evaluate_arguments(e), caller);
}

}  // namespace bitnet::jinja
