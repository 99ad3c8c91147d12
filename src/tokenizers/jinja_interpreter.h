// Runs a parsed template on a context.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizers/jinja_ast.h"
#include "tokenizers/jinja_budget.h"

namespace bitnet::jinja {

// For one run. The tree must outlive it. Not thread safe.
class Interpreter {
 public:
  // Throws Error{usage} when the context is no object or too deep.
  Interpreter(const TemplateLimits& limits, const nlohmann::ordered_json& context);

  // Throws Error{usage} without the line, which line() tells then.
  std::string run(const Body& body);
  int line() const { return line_; }

 private:
  enum class Flow : std::uint8_t { next, break_loop, continue_loop };
  struct Scope {
    std::map<std::string_view, Value> names;  // keys live in the tree or the context
    std::size_t parent;                       // where to look further; of the first scope: itself
    std::uint64_t serial;                     // never used twice
  };
  class OpenScope;  // pushes a scope for its lifetime

  Flow execute(const Body& body, std::string& out);
  Flow execute(const Block& block, std::string& out);
  Flow execute_conditional(const Block& block, std::string& out);
  Flow execute_loop(const Block& block, std::string& out);
  Flow execute_captured(const Block& block, std::string& out);  // set_block and filter
  Flow execute_with(const Block& block, std::string& out);
  Flow execute_in_scope(const Body& body, std::string& out);
  void execute_call(const Block& block, std::string& out);
  Value filtered_items(const Block& block, const List& items);
  void write(std::string& out, std::string_view text);
  void write(std::string& out, const Value& value);

  Value lookup(std::string_view name) const;
  void assign(const Block& block, const Value& value);
  Value callable(const Block& block) const;  // the macro or caller() that `block` is, closed over the current scope

  Value evaluate(const Expression& e);
  Value evaluate_container(const Expression& e);
  Value evaluate_access(const Expression& e);  // attribute, subscript, slice
  Value evaluate_unary(const Expression& e);
  Value evaluate_logical(const Expression& e);
  Value evaluate_conditional(const Expression& e);
  Value evaluate_arithmetic(const Expression& e);
  Value evaluate_comparison(const Expression& e);
  Value evaluate_filter(const Expression& e);
  Value evaluate_call(const Expression& e, const Value& caller);
  CallArguments evaluate_arguments(const Expression& e);
  Value call_builtin(const Builtin& builtin, const Value& self, const CallArguments& arguments);
  Value call_macro(const Callable& callable, const CallArguments& arguments, const Value& caller);
  void bind_parameters(const Block& macro, const CallArguments& arguments);

  Budget budget_;
  Value context_;
  std::vector<Scope> scopes_;  // the first holds the context and what is set outside everything; the last is the current one
  std::uint64_t scopes_made_ = 0;
  Value block_text_;  // what a filter without an input works on
  int line_ = 1;
};

}  // namespace bitnet::jinja
