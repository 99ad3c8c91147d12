// How expressions are evaluated.
#include "tokenizers/jinja_interpreter.h"
#include "tokenizers/jinja_operators.h"

namespace bitnet::jinja {

Value Interpreter::evaluate(const Expression& e) {
  const Budget::Nested nested(budget_);
  budget_.step();
  line_ = e.line;
  switch (e.kind) {
    case ExpressionKind::literal:
      return e.value;
    case ExpressionKind::name:
      return lookup(e.text);
    case ExpressionKind::list:
    case ExpressionKind::tuple:
    case ExpressionKind::dict:
      return evaluate_container(e);
    case ExpressionKind::attribute:
    case ExpressionKind::subscript:
    case ExpressionKind::slice:
      return evaluate_access(e);
    case ExpressionKind::call:
      return evaluate_call(e, Value());
    case ExpressionKind::filter:
    case ExpressionKind::test:
      return evaluate_filter(e);
    case ExpressionKind::negate:
    case ExpressionKind::plus:
    case ExpressionKind::logical_not:
      return evaluate_unary(e);
    case ExpressionKind::logical_and:
    case ExpressionKind::logical_or:
      return evaluate_logical(e);
    case ExpressionKind::conditional:
      return evaluate_conditional(e);
    case ExpressionKind::arithmetic:
      return evaluate_arithmetic(e);
    case ExpressionKind::compare:
      return evaluate_comparison(e);
  }
  return {};
}

Value Interpreter::evaluate_container(const Expression& e) {
  if (e.kind == ExpressionKind::dict) {
    Dict pairs;
    for (std::size_t i = 0; i < e.children.size(); i += 2) {
      const Value key = evaluate(*e.children[i]);
      insert(budget_, pairs, key, evaluate(*e.children[i + 1]));
    }
    return Value::dict(budget_, std::move(pairs));
  }
  List items;
  for (const Node& child : e.children) items.push_back(evaluate(*child));
  return Value::list(budget_, std::move(items), e.kind == ExpressionKind::tuple ? Kind::tuple : Kind::list);
}

Value Interpreter::evaluate_access(const Expression& e) {
  const Value object = evaluate(*e.children[0]);
  if (e.kind == ExpressionKind::attribute) return attribute(budget_, object, e.text);
  if (e.kind == ExpressionKind::subscript) return subscript(budget_, object, evaluate(*e.children[1]));
  std::array<Value, 3> bounds;
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    if (e.children[i + 1]) bounds[i] = evaluate(*e.children[i + 1]);
  }
  return slice(budget_, object, bounds[0], bounds[1], bounds[2]);
}

Value Interpreter::evaluate_unary(const Expression& e) {
  const Value value = evaluate(*e.children[0]);
  if (e.kind == ExpressionKind::logical_not) return Value(!truth(value));
  if (e.kind == ExpressionKind::negate) return negate(value);
  return negate(negate(value));
}

// The operand that decides, as it is.
Value Interpreter::evaluate_logical(const Expression& e) {
  const bool decides = e.kind == ExpressionKind::logical_or;
  Value value;
  for (const Node& child : e.children) {
    value = evaluate(*child);
    if (truth(value) == decides) break;
  }
  return value;
}

Value Interpreter::evaluate_conditional(const Expression& e) {
  if (truth(evaluate(*e.children[1]))) return evaluate(*e.children[0]);
  if (e.children[2]) return evaluate(*e.children[2]);
  return Value::undefined("an inline if without else, whose condition is false,");
}

Value Interpreter::evaluate_arithmetic(const Expression& e) {
  Value left = evaluate(*e.children[0]);
  for (std::size_t i = 0; i < e.operators.size(); ++i) {
    const Value right = evaluate(*e.children[i + 1]);
    line_ = e.line;
    left = arithmetic(budget_, e.operators[i], left, right);
  }
  return left;
}

Value Interpreter::evaluate_comparison(const Expression& e) {
  Value left = evaluate(*e.children[0]);
  for (std::size_t i = 0; i < e.operators.size(); ++i) {
    Value right = evaluate(*e.children[i + 1]);
    line_ = e.line;
    if (!relation(budget_, e.operators[i], left, right)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Value Interpreter::evaluate_filter(const Expression& e) {
  const Value input = e.children[0] ? evaluate(*e.children[0]) : block_text_;
  const CallArguments arguments = evaluate_arguments(e);
  line_ = e.line;
  return call_builtin(*e.builtin, input, arguments);
}

Value Interpreter::evaluate_call(const Expression& e, const Value& caller) {
  const Value callee = evaluate(*e.children[0]);
  const CallArguments arguments = evaluate_arguments(e);
  line_ = e.line;
  if (callee.is(Kind::undefined)) template_error("{} is undefined", callee.missing());
  if (!callee.is(Kind::callable)) template_error("a {} cannot be called", type_name(callee));
  const Callable& function = callee.function();
  if (function.builtin != nullptr) return call_builtin(*function.builtin, function.self, arguments);
  Value result = call_macro(function, arguments, caller);
  line_ = e.line;
  return result;
}

CallArguments Interpreter::evaluate_arguments(const Expression& e) {
  CallArguments made;
  for (const Argument& argument : e.arguments) {
    if (argument.name.empty())
      made.positional.push_back(evaluate(*argument.value));
    else
      made.named.emplace_back(argument.name, evaluate(*argument.value));
  }
  return made;
}

Value Interpreter::call_builtin(const Builtin& builtin, const Value& self, const CallArguments& arguments) {
  budget_.step();
  if (self.is(Kind::string)) budget_.bytes(self.text().size());
  for (const Value& argument : arguments.positional) {
    if (argument.is(Kind::string)) budget_.bytes(argument.text().size());
  }
  return builtin.run(budget_, self, arguments);
}

}  // namespace bitnet::jinja
