// Tests by name: what may stand behind `is`.
#include "common/error.h"
#include "tokenizers/jinja_interpreter.h"
#include "tokenizers/jinja_text.h"

namespace bitnet::jinja {
namespace {

using Arguments = const CallArguments&;

struct Test {
  std::string_view name;
  bool (*holds)(Interpreter& in, const Value& v, Arguments a);
};

const Value& other(Arguments a) {
  if (a.positional.empty()) template_error("the test needs an argument");
  return a.positional[0];
}

constexpr Test tests[] = {
    {"defined", [](Interpreter&, const Value& v, Arguments) { return !v.is(Kind::undefined); }},
    {"undefined", [](Interpreter&, const Value& v, Arguments) { return v.is(Kind::undefined); }},
    {"none", [](Interpreter&, const Value& v, Arguments) { return v.is(Kind::none); }},
    {"boolean", [](Interpreter&, const Value& v, Arguments) { return v.is(Kind::boolean); }},
    {"true", [](Interpreter&, const Value& v, Arguments) { return v.is(Kind::boolean) && v.integer() != 0; }},
    {"false", [](Interpreter&, const Value& v, Arguments) { return v.is(Kind::boolean) && v.integer() == 0; }},
    {"string", [](Interpreter&, const Value& v, Arguments) { return v.is(Kind::string); }},
    {"number", [](Interpreter&, const Value& v, Arguments) { return v.is_number(); }},
    {"integer", [](Interpreter&, const Value& v, Arguments) { return v.is(Kind::integer); }},
    {"float", [](Interpreter&, const Value& v, Arguments) { return v.is(Kind::real); }},
    {"mapping", [](Interpreter&, const Value& v, Arguments) { return v.is(Kind::dict); }},
    {"sequence", [](Interpreter&, const Value& v,
                    Arguments) { return v.is_sequence() || v.is(Kind::string) || v.is(Kind::dict) || v.is(Kind::undefined); }},
    {"iterable", [](Interpreter&, const Value& v,
                    Arguments) { return v.is_sequence() || v.is(Kind::string) || v.is(Kind::dict) || v.is(Kind::undefined); }},
    {"callable", [](Interpreter&, const Value& v, Arguments) { return v.is(Kind::callable); }},
    {"odd",
     [](Interpreter& in, const Value& v, Arguments) {
       return equal(arithmetic(in.budget(), Op::modulo, v, Value(std::int64_t{2})), Value(std::int64_t{1}));
     }},
    {"even",
     [](Interpreter& in, const Value& v, Arguments) {
       return equal(arithmetic(in.budget(), Op::modulo, v, Value(std::int64_t{2})), Value(std::int64_t{0}));
     }},
    {"divisibleby",
     [](Interpreter& in, const Value& v, Arguments a) {
       return equal(arithmetic(in.budget(), Op::modulo, v, other(a)), Value(std::int64_t{0}));
     }},
    {"lower", [](Interpreter&, const Value& v,
                 Arguments) { return lower(to_text(v)) == to_text(v) && upper(to_text(v)) != to_text(v); }},
    {"upper", [](Interpreter&, const Value& v,
                 Arguments) { return upper(to_text(v)) == to_text(v) && lower(to_text(v)) != to_text(v); }},
    {"eq", [](Interpreter&, const Value& v, Arguments a) { return equal(v, other(a)); }},
    {"equalto", [](Interpreter&, const Value& v, Arguments a) { return equal(v, other(a)); }},
    {"==", [](Interpreter&, const Value& v, Arguments a) { return equal(v, other(a)); }},
    {"sameas", [](Interpreter&, const Value& v, Arguments a) { return v.kind() == other(a).kind() && equal(v, other(a)); }},
    {"ne", [](Interpreter&, const Value& v, Arguments a) { return !equal(v, other(a)); }},
    {"!=", [](Interpreter&, const Value& v, Arguments a) { return !equal(v, other(a)); }},
    {"lt", [](Interpreter&, const Value& v, Arguments a) { return compare(v, other(a)) < 0; }},
    {"lessthan", [](Interpreter&, const Value& v, Arguments a) { return compare(v, other(a)) < 0; }},
    {"le", [](Interpreter&, const Value& v, Arguments a) { return compare(v, other(a)) <= 0; }},
    {"gt", [](Interpreter&, const Value& v, Arguments a) { return compare(v, other(a)) > 0; }},
    {"greaterthan", [](Interpreter&, const Value& v, Arguments a) { return compare(v, other(a)) > 0; }},
    {"ge", [](Interpreter&, const Value& v, Arguments a) { return compare(v, other(a)) >= 0; }},
    {"in", [](Interpreter& in, const Value& v, Arguments a) { return contains(in.budget(), other(a), v); }},
};

}  // namespace

bool Interpreter::apply_test(const std::string& name, const Value& input, const CallArguments& arguments) {
  budget_.step();
  for (const Test& test : tests) {
    if (test.name == name) return test.holds(*this, input, arguments);
  }
  template_error(fmt::format("there is no test '{}'", printable(name)));
}

}  // namespace bitnet::jinja
