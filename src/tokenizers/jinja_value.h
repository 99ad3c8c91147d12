// Values of the template language, with Python's meaning of truth, equality, order and text.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bitnet::jinja {

class Value;
using List = std::vector<Value>;
using Dict = std::vector<std::pair<Value, Value>>;  // in order of insertion
struct Callable;                                    // macros, functions, bound methods: jinja_interpreter.h

enum class Kind : std::uint8_t { undefined, none, boolean, integer, real, string, list, tuple, dict, name_space, callable };

// Cheap to copy: containers are shared and, but for namespaces, never changed once made. `depth` of a container is one more
// than the deepest thing in it; whoever makes one bounds it, so that walking values never runs out of stack.
class Value {
 public:
  Value() = default;  // undefined
  static Value none() { return Value(Kind::none); }
  static Value undefined(std::string name);
  Value(bool value) : kind_(Kind::boolean), integer_(value) {}
  Value(std::int64_t value) : kind_(Kind::integer), integer_(value) {}
  Value(double value) : kind_(Kind::real), real_(value) {}
  Value(std::string value) : kind_(Kind::string), text_(std::make_shared<const std::string>(std::move(value))) {}
  Value(const char*) = delete;
  static Value list(List items, bool tuple = false);
  static Value dict(Dict items);
  static Value name_space(Dict items);
  static Value callable(std::shared_ptr<const Callable> function);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_number() const { return kind_ == Kind::boolean || kind_ == Kind::integer || kind_ == Kind::real; }
  bool is_whole() const { return kind_ == Kind::boolean || kind_ == Kind::integer; }
  bool is_sequence() const { return kind_ == Kind::list || kind_ == Kind::tuple; }
  int depth() const { return depth_; }

  std::int64_t integer() const { return integer_; }
  double real() const { return kind_ == Kind::real ? real_ : static_cast<double>(integer_); }
  const std::string& text() const;                // of a string; of an undefined value its name
  const List& items() const;                      // of a list or tuple
  const Dict& pairs() const;                      // of a dict or namespace
  Dict& mutable_pairs() const { return *dict_; }  // of a namespace
  const Callable& function() const { return *function_; }

  const Value* find(const Value& key) const;  // in a dict or namespace; null when absent

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::undefined;
  int depth_ = 0;
  std::int64_t integer_ = 0;
  double real_ = 0;
  std::shared_ptr<const std::string> text_;
  std::shared_ptr<const List> list_;
  std::shared_ptr<Dict> dict_;
  std::shared_ptr<const Callable> function_;
};

std::string_view type_name(const Value& value);  // as Python names it
bool truth(const Value& value);
bool equal(const Value& a, const Value& b);
// -1, 0, 1; throws Error{usage} for types that have no order between them.
int compare(const Value& a, const Value& b);

std::string to_text(const Value& value);  // str()
std::string to_repr(const Value& value);  // repr()
// json.dumps(ensure_ascii=False): indent < 0 for one line.
std::string to_json(const Value& value, int indent = -1, bool sort_keys = false);

Value from_json(const nlohmann::ordered_json& json, int max_depth);

}  // namespace bitnet::jinja
