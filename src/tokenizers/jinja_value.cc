// How template values are made and compared.
#include "tokenizers/jinja_value.h"

#include <algorithm>
#include <array>

namespace bitnet::jinja {
namespace {

void check_content(const Value& item) {
  if (item.is_object()) template_error("a {} cannot be put into a list or dict", type_name(item));
}

template <class T>
int sign(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

bool equal_lists(Budget& budget, const List& a, const List& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](const Value& x, const Value& y) { return equal(budget, x, y); });
}

bool equal_dicts(Budget& budget, const Dict& a, const Dict& b) {
  return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&](const auto& pair) {
           const Value* other = find(budget, b, pair.first);
           return other != nullptr && equal(budget, pair.second, *other);
         });
}

Value number_from_json(const nlohmann::ordered_json& json) {
  if (json.is_number_float()) return Value(json.get<double>());
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
    template_error("the number {} does not fit 64 bits", json.get<std::uint64_t>());
  }
  return Value(json.get<std::int64_t>());
}

}  // namespace

Value Value::undefined(std::string what) { return Value(Kind::undefined, std::make_shared<std::string>(std::move(what))); }

std::string_view Value::missing() const { return content_ ? std::string_view(text()) : "a value"; }

Value Value::string(Budget& budget, std::string text) {
  budget.string(text.size());
  return Value(std::move(text));
}

Value Value::list(Budget& budget, List items, Kind kind) {
  budget.step(items.size());
  int depth = 0;
  for (const Value& item : items) {
    check_content(item);
    depth = std::max(depth, item.depth());
  }
  budget.container(depth + 1);
  Value made(kind, std::make_shared<List>(std::move(items)));
  made.depth_ = depth + 1;
  return made;
}

Value Value::dict(Budget& budget, Dict pairs) {
  budget.step(pairs.size());
  int depth = 0;
  for (const auto& [key, value] : pairs) {
    check_content(value);
    depth = std::max({depth, key.depth(), value.depth()});
  }
  budget.container(depth + 1);
  Value made(Kind::dict, std::make_shared<Dict>(std::move(pairs)));
  made.depth_ = depth + 1;
  return made;
}

std::string_view type_name(const Value& value) {
  static constexpr std::array<std::string_view, 12> names = {
      "Undefined", "NoneType", "bool", "int", "float", "str", "list", "tuple", "dict", "Namespace", "LoopContext", "function"};
  return names[static_cast<std::size_t>(value.kind())];
}

bool truth(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
    case Kind::integer:
      return value.integer() != 0;
    case Kind::real:
      return value.real() != 0;
    case Kind::string:
      return !value.text().empty();
    case Kind::list:
    case Kind::tuple:
      return !value.items().empty();
    case Kind::dict:
      return !value.pairs().empty();
    default:
      return true;
  }
}

bool equal(Budget& budget, const Value& a, const Value& b) {
  budget.step();
  if (a.is_whole() && b.is_whole()) return a.integer() == b.integer();
  if (a.is_number() && b.is_number()) return a.real() == b.real();
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::undefined:
    case Kind::none:
      return true;
    case Kind::string:
      if (a.text().size() != b.text().size()) return false;
      budget.bytes(a.text().size());
      return a.text() == b.text();
    case Kind::list:
    case Kind::tuple:
      return equal_lists(budget, a.items(), b.items());
    case Kind::dict:
      return equal_dicts(budget, a.pairs(), b.pairs());
    default:
      return a.same_object(b);
  }
}

int compare(Budget& budget, const Value& a, const Value& b) {
  budget.step();
  if (a.is_whole() && b.is_whole()) return sign(a.integer(), b.integer());
  if (a.is_number() && b.is_number()) return sign(a.real(), b.real());
  if (a.is(Kind::string) && b.is(Kind::string)) {
    budget.bytes(std::min(a.text().size(), b.text().size()));
    return sign(a.text(), b.text());  // the order of UTF-8 is the order of its code points
  }
  if (a.is_sequence() && a.kind() == b.kind()) {
    for (std::size_t i = 0; i < std::min(a.items().size(), b.items().size()); ++i) {
      if (!equal(budget, a.items()[i], b.items()[i])) return compare(budget, a.items()[i], b.items()[i]);
    }
    return sign(a.items().size(), b.items().size());
  }
  for (const Value* side : {&a, &b}) {
    if (side->is(Kind::undefined)) template_error("{} is undefined", side->missing());
  }
  template_error("{} and {} have no order between them", type_name(a), type_name(b));
}

void check_key(const Value& key) {
  if (key.is(Kind::list) || key.is(Kind::dict) || key.is_object()) template_error("a {} cannot be a key", type_name(key));
}

const Value* find(Budget& budget, const Dict& pairs, const Value& key) {
  if (key.is(Kind::string)) return find(budget, pairs, key.text());
  for (const auto& [k, value] : pairs) {
    if (equal(budget, k, key)) return &value;
  }
  return nullptr;
}

const Value* find(Budget& budget, const Dict& pairs, std::string_view key) {
  budget.step(pairs.size() / 8);
  for (const auto& [k, value] : pairs) {
    if (!k.is(Kind::string) || k.text().size() != key.size()) continue;
    budget.bytes(key.size());
    if (k.text() == key) return &value;
  }
  return nullptr;
}

void insert(Budget& budget, Dict& pairs, const Value& key, Value value) {
  check_key(key);
  for (auto& [k, old] : pairs) {
    if (!equal(budget, k, key)) continue;
    old = std::move(value);
    return;
  }
  pairs.emplace_back(key, std::move(value));
}

Value from_json(Budget& budget, const nlohmann::ordered_json& json, int depth_left) {
  if (depth_left < 0) template_error("the context is nested too deeply");
  if (json.is_null()) return Value::none();
  if (json.is_boolean()) return Value(json.get<bool>());
  if (json.is_number()) return number_from_json(json);
  if (json.is_string()) return Value(json.get<std::string>());
  if (json.is_array()) {
    List items;
    for (const auto& item : json) items.push_back(from_json(budget, item, depth_left - 1));
    return Value::list(budget, std::move(items));
  }
  if (!json.is_object()) template_error("the context holds binary data");
  Dict pairs;
  for (const auto& item : json.items()) pairs.emplace_back(Value(item.key()), from_json(budget, item.value(), depth_left - 1));
  return Value::dict(budget, std::move(pairs));
}

}  // namespace bitnet::jinja
