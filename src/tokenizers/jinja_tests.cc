// The tests behind `is`.
#include <array>
#include <cmath>

#include "tokenizers/jinja_builtins.h"
#include "tokenizers/jinja_format.h"
#include "tokenizers/jinja_operators.h"
#include "tokenizers/jinja_text.h"

namespace bitnet::jinja {
namespace {

template <bool (*holds)(const Value&)>
Value simple(Budget&, const Value& self, const CallArguments& arguments) {
  const Parameters p("a test", arguments, {});
  return Value(holds(self));
}

bool is_defined(const Value& v) { return !v.is(Kind::undefined); }
bool is_undefined(const Value& v) { return v.is(Kind::undefined); }
bool is_none(const Value& v) { return v.is(Kind::none); }
bool is_boolean(const Value& v) { return v.is(Kind::boolean); }
bool is_true(const Value& v) { return v.is(Kind::boolean) && v.integer() != 0; }
bool is_false(const Value& v) { return v.is(Kind::boolean) && v.integer() == 0; }
bool is_integer(const Value& v) { return v.is(Kind::integer); }
bool is_real(const Value& v) { return v.is(Kind::real); }
bool is_number(const Value& v) { return v.is_number(); }
bool is_string(const Value& v) { return v.is(Kind::string); }
bool is_mapping(const Value& v) { return v.is(Kind::dict); }
bool is_escaped(const Value&) { return false; }
// An undefined value can be looped over, measured and called as far as Python can tell beforehand.
bool is_callable(const Value& v) { return v.is(Kind::callable) || v.is(Kind::undefined); }
bool is_sequence(const Value& v) { return v.is_sequence() || v.is(Kind::string) || v.is(Kind::dict) || v.is(Kind::undefined); }
bool is_iterable(const Value& v) { return is_sequence(v) || v.is(Kind::loop); }

template <bool (*holds)(std::string_view)>
Value text_test(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("a test", arguments, {});
  return Value(holds(to_text(budget, self)));
}

template <Binary op>
Value related(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("a comparing test", arguments, {"other"});
  return Value(relation(budget, op, self, p.required(0)));
}

bool remainder_is(Budget& budget, const Value& value, std::int64_t divisor, std::int64_t wanted) {
  return equal(budget, arithmetic(budget, Binary::modulo, value, Value(divisor)), Value(wanted));
}
Value is_odd(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("odd", arguments, {});
  return Value(remainder_is(budget, self, 2, 1));
}
Value is_even(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("even", arguments, {});
  return Value(remainder_is(budget, self, 2, 0));
}
Value is_divisible(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("divisibleby", arguments, {"num"});
  return Value(equal(budget, arithmetic(budget, Binary::modulo, self, p.required(0)), Value(std::int64_t{0})));
}

Value is_same(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("sameas", arguments, {"other"});
  const Value& other = p.required(0);
  if (self.kind() != other.kind()) return Value(false);
  if (self.is_sequence() || self.is(Kind::dict) || self.is_object()) return Value(self.same_object(other));
  return Value(equal(budget, self, other));
}

Value is_filter(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("filter", arguments, {});
  return Value(find_filter(to_text(budget, self)) != nullptr);
}
Value is_test(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("test", arguments, {});
  return Value(find_test(to_text(budget, self)) != nullptr);
}

constexpr std::array<Builtin, 39> tests = {{
    {"defined", simple<is_defined>},
    {"undefined", simple<is_undefined>},
    {"none", simple<is_none>},
    {"boolean", simple<is_boolean>},
    {"true", simple<is_true>},
    {"false", simple<is_false>},
    {"integer", simple<is_integer>},
    {"float", simple<is_real>},
    {"number", simple<is_number>},
    {"string", simple<is_string>},
    {"mapping", simple<is_mapping>},
    {"sequence", simple<is_sequence>},
    {"iterable", simple<is_iterable>},
    {"callable", simple<is_callable>},
    {"escaped", simple<is_escaped>},
    {"lower", text_test<is_lower>},
    {"upper", text_test<is_upper>},
    {"odd", is_odd},
    {"even", is_even},
    {"divisibleby", is_divisible},
    {"sameas", is_same},
    {"filter", is_filter},
    {"test", is_test},
    {"in", related<Binary::in>},
    {"eq", related<Binary::equal>},
    {"==", related<Binary::equal>},
    {"equalto", related<Binary::equal>},
    {"ne", related<Binary::not_equal>},
    {"!=", related<Binary::not_equal>},
    {"lt", related<Binary::less>},
    {"<", related<Binary::less>},
    {"lessthan", related<Binary::less>},
    {"le", related<Binary::less_equal>},
    {"<=", related<Binary::less_equal>},
    {"gt", related<Binary::greater>},
    {">", related<Binary::greater>},
    {"greaterthan", related<Binary::greater>},
    {"ge", related<Binary::greater_equal>},
    {">=", related<Binary::greater_equal>},
}};

}  // namespace

const Builtin* find_test(std::string_view name) { return find_row(tests, name); }

}  // namespace bitnet::jinja
