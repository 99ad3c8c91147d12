// Arithmetic, membership, length and slices, as Python has them.
#include <algorithm>
#include <cmath>

#include "common/error.h"
#include "common/utf8.h"
#include "tokenizers/jinja_interpreter.h"

namespace bitnet::jinja {
namespace {

[[noreturn]] void unsupported(std::string_view operation, const Value& a, const Value& b) {
  if (a.is(Kind::undefined) || b.is(Kind::undefined))
    template_error(fmt::format("'{}' is undefined", printable(a.is(Kind::undefined) ? a.text() : b.text())));
  template_error(fmt::format("{} is not possible between {} and {}", operation, type_name(a), type_name(b)));
}

[[noreturn]] void overflow() { template_error("an integer does not fit 64 bits"); }

Value whole_arithmetic(Op op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  switch (op) {
    case Op::add:
      return __builtin_add_overflow(a, b, &result) ? (overflow(), Value()) : Value(result);
    case Op::subtract:
      return __builtin_sub_overflow(a, b, &result) ? (overflow(), Value()) : Value(result);
    case Op::multiply:
      return __builtin_mul_overflow(a, b, &result) ? (overflow(), Value()) : Value(result);
    case Op::floor_divide:
    case Op::modulo: {
      if (b == 0) template_error("division by zero");
      if (b == -1) return op == Op::modulo ? Value(std::int64_t{0}) : whole_arithmetic(Op::subtract, 0, a);
      const std::int64_t quotient = a / b - (a % b != 0 && (a % b < 0) != (b < 0) ? 1 : 0);  // towards minus infinity
      return Value(op == Op::modulo ? a - quotient * b : quotient);
    }
    default:
      break;
  }
  if (b < 0) return Value(std::pow(static_cast<double>(a), static_cast<double>(b)));
  result = 1;
  for (std::int64_t i = 0; i < b; ++i) {
    if (__builtin_mul_overflow(result, a, &result)) overflow();
    if (i > 64 && (a == 0 || a == 1 || a == -1)) return Value(a == -1 && b % 2 != 0 ? std::int64_t{-1} : a * a);
  }
  return Value(result);
}

Value real_arithmetic(Op op, double a, double b) {
  if ((op == Op::divide || op == Op::floor_divide || op == Op::modulo) && b == 0) template_error("division by zero");
  switch (op) {
    case Op::add:
      return Value(a + b);
    case Op::subtract:
      return Value(a - b);
    case Op::multiply:
      return Value(a * b);
    case Op::divide:
      return Value(a / b);
    case Op::floor_divide:
      return Value(std::floor(a / b));
    case Op::modulo:
      return Value(a - b * std::floor(a / b));
    default:
      return Value(std::pow(a, b));
  }
}

Value repeat(Budget& budget, const Value& sequence, std::int64_t times) {
  const auto count = static_cast<std::uint64_t>(std::max<std::int64_t>(times, 0));
  if (sequence.is(Kind::string)) {
    const std::string& text = sequence.text();
    if (!text.empty() && count > budget.limits().output_bytes / text.size())
      template_error(fmt::format("a text is longer than {} bytes", budget.limits().output_bytes));
    std::string out;
    for (std::uint64_t i = 0; i < count && !text.empty(); ++i) out += text;
    return Value(budget.text(out));
  }
  List items;
  for (std::uint64_t i = 0; i < count && !sequence.items().empty(); ++i) {
    budget.elements(sequence.items().size());
    items.insert(items.end(), sequence.items().begin(), sequence.items().end());
  }
  return Value::list(std::move(items), sequence.is(Kind::tuple));
}

}  // namespace

Value add(Budget& budget, const Value& a, const Value& b) {
  if (a.is(Kind::string) && b.is(Kind::string)) return Value(budget.text(a.text() + b.text()));
  if (a.is_sequence() && a.kind() == b.kind()) {
    List items = a.items();
    items.insert(items.end(), b.items().begin(), b.items().end());
    budget.elements(items.size());
    return Value::list(std::move(items), a.is(Kind::tuple));
  }
  return arithmetic(budget, Op::add, a, b);
}

Value arithmetic(Budget& budget, Op op, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_whole() && b.is_whole() && op != Op::divide) return whole_arithmetic(op, a.integer(), b.integer());
    return real_arithmetic(op, a.real(), b.real());
  }
  if (op == Op::multiply && b.is_whole() && (a.is(Kind::string) || a.is_sequence())) return repeat(budget, a, b.integer());
  if (op == Op::multiply && a.is_whole() && (b.is(Kind::string) || b.is_sequence())) return repeat(budget, b, a.integer());
  if (op == Op::modulo && a.is(Kind::string)) template_error("formatting with % is not supported");
  unsupported("this operation", a, b);
}

bool contains(Budget& budget, const Value& container, const Value& item) {
  if (container.is(Kind::string)) {
    if (!item.is(Kind::string)) unsupported("'in'", item, container);
    budget.elements(container.text().size() / 64);
    return container.text().find(item.text()) != std::string::npos;
  }
  if (container.is_sequence()) {
    budget.elements(container.items().size());
    return std::any_of(container.items().begin(), container.items().end(), [&](const Value& x) { return equal(x, item); });
  }
  if (container.is(Kind::dict)) {
    budget.elements(container.pairs().size() / 8);
    return container.find(item) != nullptr;
  }
  if (container.is(Kind::undefined)) return false;
  unsupported("'in'", item, container);
}

std::int64_t length(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return 0;
    case Kind::string:
      return static_cast<std::int64_t>(code_points(value.text()).size());
    case Kind::list:
    case Kind::tuple:
      return static_cast<std::int64_t>(value.items().size());
    case Kind::dict:
      return static_cast<std::int64_t>(value.pairs().size());
    default:
      template_error(fmt::format("an object of type {} has no length", type_name(value)));
  }
}

std::u32string code_points(const std::string& text) {
  std::u32string codes;
  for (std::string_view rest = text; !rest.empty();) {
    const Utf8Char c = utf8_decode(rest);
    codes += c.code;
    rest.remove_prefix(c.size);
  }
  return codes;
}

std::string from_code_points(std::u32string_view codes) {
  std::string text;
  for (const char32_t code : codes) utf8_append(text, code);
  return text;
}

std::int64_t whole(const Value& value, std::string_view what) {
  if (!value.is_whole()) template_error(fmt::format("{} is {}, it must be an integer", what, type_name(value)));
  return value.integer();
}

Value slice(Budget& budget, const Value& object, const Value& begin, const Value& end, const Value& step_value) {
  if (!object.is(Kind::string) && !object.is_sequence())
    template_error(fmt::format("an object of type {} cannot be sliced", type_name(object)));
  const std::u32string codes = object.is(Kind::string) ? code_points(object.text()) : std::u32string();
  const std::int64_t size = length(object), step = step_value.is(Kind::none) ? 1 : whole(step_value, "the step of a slice");
  if (step == 0) template_error("the step of a slice is 0");
  const auto bound = [&](const Value& value, std::int64_t fallback) {
    if (value.is(Kind::none)) return fallback;
    std::int64_t at = whole(value, "the bound of a slice");
    if (at < 0) at += size;
    return std::clamp<std::int64_t>(at, step > 0 ? 0 : -1, step > 0 ? size : size - 1);
  };
  const std::int64_t first = bound(begin, step > 0 ? 0 : size - 1), last = bound(end, step > 0 ? size : -1);
  std::u32string text;
  List items;
  for (std::int64_t i = first; step > 0 ? i < last : i > last;) {
    if (object.is(Kind::string))
      text += codes[static_cast<std::size_t>(i)];
    else
      items.push_back(object.items()[static_cast<std::size_t>(i)]);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  budget.elements(static_cast<std::size_t>(size) / 32 + items.size());
  return object.is(Kind::string) ? Value(from_code_points(text)) : Value::list(std::move(items), object.is(Kind::tuple));
}

}  // namespace bitnet::jinja
