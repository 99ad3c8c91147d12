// Python's operators on template values.
#include "tokenizers/jinja_operators.h"

#include <algorithm>
#include <cmath>

#include "common/utf8.h"
#include "tokenizers/jinja_builtins.h"
#include "tokenizers/jinja_format.h"
#include "tokenizers/jinja_text.h"

namespace bitnet::jinja {
namespace {

constexpr std::array<std::string_view, 16> symbols = {"+",  "-",  "*", "/",  "//", "%",  "**", "~",
                                                      "==", "!=", "<", "<=", ">",  ">=", "in", "not in"};

[[noreturn]] void no_operator(Binary op, const Value& a, const Value& b) {
  for (const Value* side : {&a, &b}) {
    if (side->is(Kind::undefined)) template_error("{} is undefined", side->missing());
  }
  template_error("{} {} {} is not possible", type_name(a), symbols[static_cast<std::size_t>(op)], type_name(b));
}

void check_fits(bool fits) {
  if (!fits) template_error("a number does not fit 64 bits");
}

std::int64_t subtract(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  check_fits(!__builtin_sub_overflow(a, b, &result));
  return result;
}

std::int64_t integer_power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  bool base_fits = true;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) check_fits(base_fits && !__builtin_mul_overflow(result, base, &result));
    base_fits = base_fits && !__builtin_mul_overflow(base, base, &base);
  }
  return result;
}

Value integer_arithmetic(Binary op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  if (b == 0 && (op == Binary::divide || op == Binary::floor_divide || op == Binary::modulo))
    template_error("a division by zero");
  switch (op) {
    case Binary::add:
      check_fits(!__builtin_add_overflow(a, b, &result));
      return Value(result);
    case Binary::subtract:
      return Value(subtract(a, b));
    case Binary::multiply:
      check_fits(!__builtin_mul_overflow(a, b, &result));
      return Value(result);
    case Binary::divide:
      return Value(static_cast<double>(a) / static_cast<double>(b));
    case Binary::floor_divide:
      if (b == -1) return Value(subtract(0, a));
      return Value(a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0));
    case Binary::modulo:
      if (b == -1) return Value(std::int64_t{0});
      return Value(a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0));
    default:
      if (b >= 0) return Value(integer_power(a, b));
      if (a == 0) template_error("a division by zero");
      return Value(std::pow(static_cast<double>(a), static_cast<double>(b)));
  }
}

double real_modulo(double a, double b) {
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

double real_floor_divide(double a, double b) {
  const double quotient = (a - real_modulo(a, b)) / b;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double whole = std::floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

Value real_arithmetic(Binary op, double a, double b) {
  if (b == 0 && (op == Binary::divide || op == Binary::floor_divide || op == Binary::modulo))
    template_error("a division by zero");
  switch (op) {
    case Binary::add:
      return Value(a + b);
    case Binary::subtract:
      return Value(a - b);
    case Binary::multiply:
      return Value(a * b);
    case Binary::divide:
      return Value(a / b);
    case Binary::floor_divide:
      return Value(real_floor_divide(a, b));
    case Binary::modulo:
      return Value(real_modulo(a, b));
    default:
      break;
  }
  const double result = std::pow(a, b);
  if (!std::isfinite(result) && std::isfinite(a) && std::isfinite(b)) template_error("a power that is no real number");
  return Value(result);
}

Value joined(Budget& budget, const Value& a, const Value& b) {
  if (a.is(Kind::string)) {
    budget.string(a.text().size() + b.text().size());
    return Value(a.text() + b.text());
  }
  budget.step(a.items().size());
  List items = a.items();
  items.insert(items.end(), b.items().begin(), b.items().end());
  return Value::list(budget, std::move(items), a.kind());
}

Value repeated(Budget& budget, const Value& value, std::int64_t count) {
  const auto times = static_cast<std::uint64_t>(std::max<std::int64_t>(count, 0));
  std::uint64_t size = value.is(Kind::string) ? value.text().size() : value.items().size();
  if (__builtin_mul_overflow(size, times, &size)) size = UINT64_MAX;
  if (value.is(Kind::string)) {
    budget.string(size);
    std::string out;
    for (; out.size() < size;) out += value.text();
    return Value(std::move(out));
  }
  budget.step(size);
  List items;
  while (items.size() < size) items.insert(items.end(), value.items().begin(), value.items().end());
  return Value::list(budget, std::move(items), value.kind());
}

std::optional<std::int64_t> bound(const Value& value) {
  if (value.is(Kind::undefined) || value.is(Kind::none)) return std::nullopt;
  if (!value.is_whole()) template_error("a slice wants whole numbers, not a {}", type_name(value));
  return value.integer();
}

// The positions a slice of a sequence of `size` goes over, by the rules of Python.
std::vector<std::size_t> slice_positions(Budget& budget, std::int64_t size, const Value& begin, const Value& end,
                                         const Value& step_value) {
  const std::int64_t step = bound(step_value).value_or(1);
  if (step == 0) template_error("a slice has the step 0");
  const std::int64_t lowest = step > 0 ? 0 : -1, highest = step > 0 ? size : size - 1;
  const auto clamp = [&](std::optional<std::int64_t> given, std::int64_t fallback) {
    if (!given) return fallback;
    return std::clamp(*given < 0 ? *given + size : *given, lowest, highest);
  };
  const std::int64_t first = clamp(bound(begin), step > 0 ? lowest : highest),
                     last = clamp(bound(end), step > 0 ? highest : lowest);
  std::vector<std::size_t> positions;
  std::int64_t at = first;
  while (step > 0 ? at < last : at > last) {
    positions.push_back(static_cast<std::size_t>(at));
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  budget.step(positions.size() / 8);
  return positions;
}

Value character(Budget& budget, const std::string& text, std::int64_t index) {
  budget.bytes(text.size());
  const std::int64_t count = code_point_count(text);
  if (index < 0) index += count;
  if (index < 0 || index >= count) return Value::undefined("a character past the end of a string");
  std::string_view rest = text;
  for (; index > 0; --index) rest.remove_prefix(utf8_decode(rest).size);
  return Value(std::string(rest.substr(0, utf8_decode(rest).size)));
}

Value bound_method(const Value& object, const Builtin* method) {
  auto callable = std::make_shared<Callable>();
  callable->builtin = method;
  callable->self = object;
  return Value::callable(std::move(callable));
}

Value loop_attribute(Budget& budget, const Loop& loop, std::string_view name) {
  const auto index = static_cast<std::int64_t>(loop.index), count = static_cast<std::int64_t>(loop.items.items().size());
  const auto item = [&](std::int64_t i, const char* which) {
    return i >= 0 && i < count ? loop.items.items()[static_cast<std::size_t>(i)]
                               : Value::undefined(std::string("loop.") + which);
  };
  budget.step();
  if (name == "index") return Value(index + 1);
  if (name == "index0") return Value(index);
  if (name == "revindex") return Value(count - index);
  if (name == "revindex0") return Value(count - index - 1);
  if (name == "first") return Value(index == 0);
  if (name == "last") return Value(index == count - 1);
  if (name == "length") return Value(count);
  if (name == "depth") return Value(std::int64_t{1});  // only recursive loops go deeper
  if (name == "depth0") return Value(std::int64_t{0});
  if (name == "previtem") return item(index - 1, "previtem");
  if (name == "nextitem") return item(index + 1, "nextitem");
  return Value::undefined("loop." + printable(name));
}

}  // namespace

Value arithmetic(Budget& budget, Binary op, const Value& a, const Value& b) {
  budget.step();
  if (op == Binary::concat) {
    std::string left = to_text(budget, a);
    const std::string right = to_text(budget, b);
    budget.string(left.size() + right.size());
    return Value(std::move(left) + right);
  }
  if (a.is_whole() && b.is_whole()) return integer_arithmetic(op, a.integer(), b.integer());
  if (a.is_number() && b.is_number()) return real_arithmetic(op, a.real(), b.real());
  const auto repeatable = [](const Value& v) { return v.is(Kind::string) || v.is_sequence(); };
  if (op == Binary::add && repeatable(a) && a.kind() == b.kind()) return joined(budget, a, b);
  if (op == Binary::multiply && repeatable(a) && b.is_whole()) return repeated(budget, a, b.integer());
  if (op == Binary::multiply && repeatable(b) && a.is_whole()) return repeated(budget, b, a.integer());
  if (op == Binary::modulo && a.is(Kind::string)) return Value(percent_format(budget, a.text(), b));
  no_operator(op, a, b);
}

bool relation(Budget& budget, Binary op, const Value& a, const Value& b) {
  switch (op) {
    case Binary::equal:
      return equal(budget, a, b);
    case Binary::not_equal:
      return !equal(budget, a, b);
    case Binary::in:
      return contains(budget, b, a);
    case Binary::not_in:
      return !contains(budget, b, a);
    default:
      break;
  }
  if (a.is_number() && b.is_number() && (std::isnan(a.real()) || std::isnan(b.real()))) return false;
  const int order = compare(budget, a, b);
  if (op == Binary::less) return order < 0;
  if (op == Binary::less_equal) return order <= 0;
  return op == Binary::greater ? order > 0 : order >= 0;
}

Value negate(const Value& value) {
  if (value.is(Kind::real)) return Value(-value.real());
  if (value.is_whole()) return Value(subtract(0, value.integer()));
  if (value.is(Kind::undefined)) template_error("{} is undefined", value.missing());
  template_error("a {} has no negative", type_name(value));
}

bool contains(Budget& budget, const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::undefined:
      return false;
    case Kind::string:
      if (!item.is(Kind::string)) no_operator(Binary::in, item, container);
      return find(budget, container.text(), item.text()) != std::string_view::npos;
    case Kind::list:
    case Kind::tuple:
      return std::any_of(container.items().begin(), container.items().end(),
                         [&](const Value& v) { return equal(budget, v, item); });
    case Kind::dict:
      check_key(item);
      return find(budget, container.pairs(), item) != nullptr;
    default:
      no_operator(Binary::in, item, container);
  }
}

std::int64_t length(Budget& budget, const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return 0;
    case Kind::string:
      budget.bytes(value.text().size());
      return code_point_count(value.text());
    case Kind::list:
    case Kind::tuple:
      return static_cast<std::int64_t>(value.items().size());
    case Kind::dict:
      return static_cast<std::int64_t>(value.pairs().size());
    case Kind::loop:
      return static_cast<std::int64_t>(value.loop().items.items().size());
    default:
      template_error("a {} has no length", type_name(value));
  }
}

List elements(Budget& budget, const Value& value) {
  List items;
  switch (value.kind()) {
    case Kind::undefined:
      break;
    case Kind::list:
    case Kind::tuple:
      budget.step(value.items().size());
      return value.items();
    case Kind::string:
      budget.step(value.text().size());
      for (std::string_view rest = value.text(); !rest.empty(); rest.remove_prefix(utf8_decode(rest).size)) {
        items.emplace_back(std::string(rest.substr(0, utf8_decode(rest).size)));
      }
      break;
    case Kind::dict:
      budget.step(value.pairs().size());
      for (const auto& pair : value.pairs()) items.push_back(pair.first);
      break;
    default:
      template_error("a {} cannot be looped over", type_name(value));
  }
  return items;
}

Value subscript(Budget& budget, const Value& object, const Value& key) {
  budget.step();
  if (object.is(Kind::undefined)) template_error("{} is undefined", object.missing());
  if (object.is(Kind::dict)) {
    if (const Value* found = find(budget, object.pairs(), key)) return *found;
  } else if (key.is_whole() && object.is(Kind::string)) {
    return character(budget, object.text(), key.integer());
  } else if (key.is_whole() && object.is_sequence()) {
    const auto count = static_cast<std::int64_t>(object.items().size());
    const std::int64_t index = key.integer() < 0 ? key.integer() + count : key.integer();
    if (index >= 0 && index < count) return object.items()[static_cast<std::size_t>(index)];
    return Value::undefined(fmt::format("item {} of a {}", key.integer(), type_name(object)));
  }
  if (key.is(Kind::string)) {
    if (!object.is(Kind::dict)) return attribute(budget, object, key.text());
    if (const Builtin* method = find_method(object.kind(), key.text())) return bound_method(object, method);
    return Value::undefined(fmt::format("the key '{}' of a dict", printable(key.text())));
  }
  return Value::undefined(fmt::format("an item of a {}", type_name(object)));
}

Value attribute(Budget& budget, const Value& object, std::string_view name) {
  budget.step();
  if (object.is(Kind::undefined)) template_error("{} is undefined", object.missing());
  if (const Builtin* method = find_method(object.kind(), name)) return bound_method(object, method);
  if (object.is(Kind::loop)) return loop_attribute(budget, object.loop(), name);
  if (object.is(Kind::dict) || (object.is(Kind::name_space) && !name.starts_with('_'))) {
    if (const Value* found = find(budget, object.pairs(), name)) return *found;
  }
  return Value::undefined(fmt::format("'{}' of a {}", printable(name), type_name(object)));
}

Value slice(Budget& budget, const Value& object, const Value& begin, const Value& end, const Value& step) {
  budget.step();
  if (object.is_sequence()) {
    List items;
    for (const std::size_t at : slice_positions(budget, length(budget, object), begin, end, step))
      items.push_back(object.items()[at]);
    return Value::list(budget, std::move(items), object.kind());
  }
  if (object.is(Kind::string)) {
    budget.bytes(4 * object.text().size());
    const std::u32string codes = code_points(object.text());
    std::u32string part;
    for (const std::size_t at : slice_positions(budget, static_cast<std::int64_t>(codes.size()), begin, end, step))
      part += codes[at];
    return Value(from_code_points(part));
  }
  if (object.is(Kind::undefined)) template_error("{} is undefined", object.missing());
  template_error("a {} has no slices", type_name(object));
}

}  // namespace bitnet::jinja
