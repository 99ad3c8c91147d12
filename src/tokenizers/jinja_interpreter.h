// Runs a template: scopes, limits, and the calls that its expressions can make.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tokenizers/chat_template.h"
#include "tokenizers/jinja_ast.h"

namespace bitnet::jinja {

struct CallArguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
  const Value* find(std::string_view name, std::size_t position) const;  // null when absent
};

struct Callable {
  enum class Kind : std::uint8_t { macro, function, method, loop_cycle, loop_changed } kind;
  std::string name;
  const Block* macro = nullptr;
  Value self;                       // of a method
  Value caller;                     // of a macro run by {% call %}
  std::size_t index = 0;            // of loop.cycle
  std::shared_ptr<Value> previous;  // of loop.changed
};

// The work done so far against the limits. Every operation pays for what it makes, so that no template costs more than its
// fuel.
class Budget {
 public:
  explicit Budget(const TemplateLimits& limits) : limits_(limits) {}
  void step(std::uint64_t count = 1);
  const std::string& text(const std::string& made);  // pays for a string
  void elements(std::size_t count) { step(count); }
  void check_depth(const Value& container) const;
  int& depth() { return depth_; }
  const TemplateLimits& limits() const { return limits_; }

 private:
  TemplateLimits limits_;
  std::uint64_t steps_ = 0;
  int depth_ = 0;
};

// One level of evaluation, for as long as it lives; the bound keeps well inside a small thread's stack.
class Level {
 public:
  explicit Level(Budget& budget);
  ~Level() { --budget_.depth(); }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

 private:
  Budget& budget_;
};

class Interpreter {
 public:
  Interpreter(const TemplateLimits& limits, Value context);
  std::string run(const Body& body);

  Budget& budget() { return budget_; }
  int line() const { return line_; }  // of what was evaluated last
  Value apply_filter(const std::string& name, const Value& input, const CallArguments& arguments);
  bool apply_test(const std::string& name, const Value& input, const CallArguments& arguments);
  Value attribute(const Value& object, const std::string& name);  // object.name; undefined when there is none
  Value subscript(const Value& object, const Value& key);
  List iterate(const Value& value);

 private:
  enum class Flow : std::uint8_t { next, break_loop, continue_loop };
  using Scope = std::map<std::string, Value, std::less<>>;

  Flow execute(const Body& body, std::string& out);
  Flow execute(const Block& block, std::string& out);
  Flow execute_loop(const Block& block, std::string& out);
  void execute_set(const Block& block);
  void assign(const std::vector<std::string>& targets, const Value& value);
  std::string capture(const Body& body);
  void write(std::string& out, const std::string& text);
  Value loop_value(const List& items, std::size_t index, const std::shared_ptr<Value>& changed);

  Value evaluate(const Expression& e);
  Value evaluate_operator(const Expression& e);
  Value evaluate_compare(const Expression& e);
  Value evaluate_call(const Expression& e, const Value& caller);
  Value evaluate_slice(const Expression& e);
  Value lookup(const std::string& name);
  CallArguments evaluate_arguments(const Expression& e);
  Value call(const Callable& callable, const CallArguments& arguments, const Value& caller);
  Value call_macro(const Callable& callable, const CallArguments& arguments, const Value& caller);
  Value call_function(const std::string& name, const CallArguments& arguments);

  Budget budget_;
  int line_ = 1;
  std::vector<Scope> scopes_;  // the first is the context with what is set at the top
};

// Methods of strings, dicts and lists; undefined when the type has no such method.
bool has_method(const Value& object, std::string_view name);
Value call_method(Interpreter& interpreter, const Value& self, const std::string& name, const CallArguments& arguments);

// Operators on values.
Value add(Budget& budget, const Value& a, const Value& b);
Value arithmetic(Budget& budget, Op op, const Value& a, const Value& b);
bool contains(Budget& budget, const Value& container, const Value& item);
std::int64_t length(const Value& value);
std::u32string code_points(const std::string& text);
std::string from_code_points(std::u32string_view codes);
std::int64_t whole(const Value& value, std::string_view what);
Value slice(Budget& budget, const Value& object, const Value& begin, const Value& end, const Value& step);

[[noreturn]] void template_error(const std::string& fact);

}  // namespace bitnet::jinja
