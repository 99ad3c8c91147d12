// Values of the template language, with Python's meaning of truth, equality and order.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizers/jinja_budget.h"

namespace bitnet::jinja {

class Value;
using List = std::vector<Value>;
using Dict = std::vector<std::pair<Value, Value>>;  // in order of insertion, keys unique
struct Callable;                                    // jinja_builtins.h
struct Loop;

enum class Kind : std::uint8_t {
  undefined,
  none,
  boolean,
  integer,
  real,
  string,
  list,
  tuple,
  dict,
  name_space,
  loop,
  callable,  // objects: they have an identity and live in variables only, never inside a container
};

// Cheap to copy: content is shared and, but for namespaces and loops, never changed once made. Containers are at most
// TemplateLimits::depth deep, so that walking them never runs out of stack.
class Value {
 public:
  Value() = default;  // undefined
  explicit Value(bool value) : kind_(Kind::boolean), integer_(value) {}
  explicit Value(std::int64_t value) : kind_(Kind::integer), integer_(value) {}
  explicit Value(double value) : kind_(Kind::real), real_(value) {}
  explicit Value(std::string value) : kind_(Kind::string), content_(std::make_shared<std::string>(std::move(value))) {}
  explicit Value(const char*) = delete;
  static Value none() { return Value(Kind::none, nullptr); }
  static Value undefined(std::string what);               // `what` says in errors what is missing
  static Value string(Budget& budget, std::string text);  // pays for the text
  // Pays for the elements; throws Error{usage} when the nesting passes the limit.
  static Value list(Budget& budget, List items, Kind kind = Kind::list);
  static Value dict(Budget& budget, Dict pairs);
  static Value name_space(Dict pairs) { return Value(Kind::name_space, std::make_shared<Dict>(std::move(pairs))); }
  static Value loop(std::shared_ptr<Loop> loop) { return Value(Kind::loop, std::move(loop)); }
  static Value callable(std::shared_ptr<Callable> function) { return Value(Kind::callable, std::move(function)); }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_whole() const { return kind_ == Kind::boolean || kind_ == Kind::integer; }
  bool is_number() const { return is_whole() || kind_ == Kind::real; }
  bool is_sequence() const { return kind_ == Kind::list || kind_ == Kind::tuple; }
  bool is_object() const { return kind_ >= Kind::name_space; }
  int depth() const { return depth_; }  // of a container: one more than the deepest thing in it; else 0
  bool same_object(const Value& other) const { return content_ == other.content_; }

  std::int64_t integer() const { return integer_; }                                             // of is_whole()
  double real() const { return kind_ == Kind::real ? real_ : static_cast<double>(integer_); }   // of is_number()
  const std::string& text() const { return *static_cast<const std::string*>(content_.get()); }  // of a string
  const List& items() const { return *static_cast<const List*>(content_.get()); }               // of a list or tuple
  const Dict& pairs() const { return *static_cast<const Dict*>(content_.get()); }               // of a dict, namespace
  Dict& mutable_pairs() const { return *static_cast<Dict*>(content_.get()); }                   // of a namespace
  Loop& loop() const { return *static_cast<Loop*>(content_.get()); }
  const Callable& function() const { return *static_cast<const Callable*>(content_.get()); }
  std::string_view missing() const;  // of undefined: what

 private:
  Value(Kind kind, std::shared_ptr<void> content) : kind_(kind), content_(std::move(content)) {}

  Kind kind_ = Kind::undefined;
  std::int32_t depth_ = 0;
  union {
    std::int64_t integer_ = 0;
    double real_;
  };
  std::shared_ptr<void> content_;
};

// What `loop` is inside {% for %}.
struct Loop {
  Value items;  // a list
  std::size_t index = 0;
  Value changed_before;  // the arguments of the last loop.changed(), as a tuple
};

std::string_view type_name(const Value& value);  // as Python names it
bool truth(const Value& value);
bool equal(Budget& budget, const Value& a, const Value& b);
// -1, 0 or 1 (a NaN equals everything here); throws Error{usage} for types that have no order between them.
int compare(Budget& budget, const Value& a, const Value& b);

// Throws Error{usage} for what cannot be a key: lists and dicts.
void check_key(const Value& key);
const Value* find(Budget& budget, const Dict& pairs, const Value& key);  // null when absent
const Value* find(Budget& budget, const Dict& pairs, std::string_view key);
void insert(Budget& budget, Dict& pairs, const Value& key, Value value);  // or replaces

// Throws Error{usage} for nesting past the limit and for numbers that do not fit 64 bits.
Value from_json(Budget& budget, const nlohmann::ordered_json& json, int depth_left);

}  // namespace bitnet::jinja
