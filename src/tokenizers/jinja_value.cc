// Comparison and text forms of template values.
#include "tokenizers/jinja_value.h"

#include <algorithm>
#include <cmath>

#include "common/error.h"
#include "common/utf8.h"
#include "tokenizers/unicode.h"

namespace bitnet::jinja {
namespace {

int deepest(const List& items) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  return depth;
}

int deepest(const Dict& items) {
  int depth = 0;
  for (const auto& [key, value] : items) depth = std::max({depth, key.depth(), value.depth()});
  return depth;
}

std::string real_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string quoted(const std::string& text) {
  const char quote = text.find('\'') != std::string::npos && text.find('"') == std::string::npos ? '"' : '\'';
  std::string out(1, quote);
  for (std::string_view rest = text; !rest.empty();) {
    const Utf8Char c = utf8_decode(rest);
    const auto category = unicode::category(c.code);
    const bool hidden =
        unicode::between(category, unicode::Category::Zs, unicode::Category::Co) || category == unicode::Category::Cn;
    if (c.code == U'\n')
      out += "\\n";
    else if (c.code == U'\r')
      out += "\\r";
    else if (c.code == U'\t')
      out += "\\t";
    else if (c.code == U'\\')
      out += "\\\\";
    else if (c.code == static_cast<char32_t>(quote))
      out += std::string("\\") + quote;
    else if (c.code == U' ' || !hidden)
      out += rest.substr(0, c.size);
    else if (c.code < 0x100)
      out += fmt::format("\\x{:02x}", static_cast<std::uint32_t>(c.code));
    else if (c.code < 0x10000)
      out += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(c.code));
    else
      out += fmt::format("\\U{:08x}", static_cast<std::uint32_t>(c.code));
    rest.remove_prefix(c.size);
  }
  return out + quote;
}

std::string json_quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20)
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        else
          out += c;
    }
  }
  return out + "\"";
}

class JsonWriter {
 public:
  JsonWriter(int indent, bool sort_keys) : indent_(indent), sort_keys_(sort_keys) {}

  std::string write(const Value& value, int level) const {
    switch (value.kind()) {
      case Kind::none:
        return "null";
      case Kind::boolean:
        return value.integer() ? "true" : "false";
      case Kind::integer:
        return std::to_string(value.integer());
      case Kind::real:
        return std::isnan(value.real())   ? "NaN"
               : std::isinf(value.real()) ? (value.real() > 0 ? "Infinity" : "-Infinity")
                                          : real_text(value.real());
      case Kind::string:
        return json_quoted(value.text());
      case Kind::list:
      case Kind::tuple:
        return write_list(value.items(), level);
      case Kind::dict:
        return write_dict(value.pairs(), level);
      default:
        fail(ErrorKind::usage, "an object of type {} has no JSON form", type_name(value));
    }
  }

 private:
  std::string line(int level) const {
    return indent_ < 0 ? "" : "\n" + std::string(static_cast<std::size_t>(indent_ * level), ' ');
  }
  std::string separator(int level) const { return indent_ < 0 ? ", " : "," + line(level); }

  std::string write_list(const List& items, int level) const {
    if (items.empty()) return "[]";
    std::string out = "[" + line(level + 1);
    for (std::size_t i = 0; i < items.size(); ++i) out += (i ? separator(level + 1) : "") + write(items[i], level + 1);
    return out + line(level) + "]";
  }

  std::string write_dict(const Dict& pairs, int level) const {
    if (pairs.empty()) return "{}";
    std::vector<const std::pair<Value, Value>*> order;
    for (const auto& pair : pairs) order.push_back(&pair);
    if (sort_keys_)
      std::stable_sort(order.begin(), order.end(),
                       [](const auto* a, const auto* b) { return compare(a->first, b->first) < 0; });
    std::string out = "{" + line(level + 1);
    for (std::size_t i = 0; i < order.size(); ++i) {
      const Value& key = order[i]->first;
      const std::string name = key.is(Kind::string) ? key.text() : write(key, 0);
      out += (i ? separator(level + 1) : "") + json_quoted(name) + ": " + write(order[i]->second, level + 1);
    }
    return out + line(level) + "}";
  }

  int indent_;
  bool sort_keys_;
};

}  // namespace

Value Value::undefined(std::string name) {
  Value v;
  v.text_ = std::make_shared<const std::string>(std::move(name));
  return v;
}
Value Value::list(List items, bool tuple) {
  Value v(tuple ? Kind::tuple : Kind::list);
  v.depth_ = deepest(items) + 1;
  v.list_ = std::make_shared<const List>(std::move(items));
  return v;
}
Value Value::dict(Dict items) {
  Value v(Kind::dict);
  v.depth_ = deepest(items) + 1;
  v.dict_ = std::make_shared<Dict>(std::move(items));
  return v;
}
Value Value::name_space(Dict items) {
  Value v = dict(std::move(items));
  v.kind_ = Kind::name_space;
  v.depth_ = 1 << 20;  // never goes into another container: it could come to hold itself
  return v;
}
Value Value::callable(std::shared_ptr<const Callable> function) {
  Value v(Kind::callable);
  v.depth_ = 1 << 20;
  v.function_ = std::move(function);
  return v;
}

const std::string& Value::text() const {
  static const std::string empty;
  return text_ ? *text_ : empty;
}
const List& Value::items() const { return *list_; }
const Dict& Value::pairs() const { return *dict_; }

const Value* Value::find(const Value& key) const {
  for (const auto& [k, v] : *dict_) {
    if (equal(k, key)) return &v;
  }
  return nullptr;
}

std::string_view type_name(const Value& value) {
  static constexpr std::string_view names[] = {"Undefined", "NoneType", "bool", "int",       "float",   "str",
                                               "list",      "tuple",    "dict", "Namespace", "function"};
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

bool equal(const Value& a, const Value& b) {
  if (a.is_whole() && b.is_whole()) return a.integer() == b.integer();
  if (a.is_number() && b.is_number()) return a.real() == b.real();
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::string:
      return a.text() == b.text();
    case Kind::list:
    case Kind::tuple:
      return std::equal(a.items().begin(), a.items().end(), b.items().begin(), b.items().end(),
                        [](const Value& x, const Value& y) { return equal(x, y); });
    case Kind::dict: {
      if (a.pairs().size() != b.pairs().size()) return false;
      return std::all_of(a.pairs().begin(), a.pairs().end(), [&](const auto& pair) {
        const Value* other = b.find(pair.first);
        return other != nullptr && equal(pair.second, *other);
      });
    }
    case Kind::name_space:
      return &a.pairs() == &b.pairs();
    case Kind::callable:
      return &a.function() == &b.function();
    default:
      return true;  // undefined, none
  }
}

int compare(const Value& a, const Value& b) {
  const auto sign = [](auto x, auto y) { return x < y ? -1 : y < x ? 1 : 0; };
  if (a.is_whole() && b.is_whole()) return sign(a.integer(), b.integer());
  if (a.is_number() && b.is_number()) return sign(a.real(), b.real());
  if (a.is(Kind::string) && b.is(Kind::string)) return sign(a.text(), b.text());  // UTF-8 sorts as its code points do
  if (a.is_sequence() && a.kind() == b.kind()) {
    for (std::size_t i = 0; i < std::min(a.items().size(), b.items().size()); ++i) {
      if (!equal(a.items()[i], b.items()[i])) return compare(a.items()[i], b.items()[i]);
    }
    return sign(a.items().size(), b.items().size());
  }
  fail(ErrorKind::usage, "{} and {} cannot be ordered", type_name(a), type_name(b));
}

std::string to_text(const Value& value) {
  if (value.is(Kind::string)) return value.text();
  return value.is(Kind::undefined) ? std::string() : to_repr(value);
}

std::string to_repr(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "None";
    case Kind::boolean:
      return value.integer() ? "True" : "False";
    case Kind::integer:
      return std::to_string(value.integer());
    case Kind::real:
      return real_text(value.real());
    case Kind::string:
      return quoted(value.text());
    case Kind::name_space:
      return "<Namespace>";
    case Kind::callable:
      return "<function>";
    default:
      break;
  }
  std::string out;
  if (value.is(Kind::dict)) {
    for (const auto& [k, v] : value.pairs()) out += (out.empty() ? "" : ", ") + to_repr(k) + ": " + to_repr(v);
    return "{" + out + "}";
  }
  const List& items = value.items();
  for (std::size_t i = 0; i < items.size(); ++i) out += (i ? ", " : "") + to_repr(items[i]);
  if (value.is(Kind::list)) return "[" + out + "]";
  return "(" + out + (items.size() == 1 ? ",)" : ")");
}

std::string to_json(const Value& value, int indent, bool sort_keys) { return JsonWriter(indent, sort_keys).write(value, 0); }

Value from_json(const nlohmann::ordered_json& json, int max_depth) {
  if (max_depth < 0) fail(ErrorKind::usage, "the messages are nested too deeply");
  if (json.is_null()) return Value::none();
  if (json.is_boolean()) return Value(json.get<bool>());
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX))
    return Value(json.get<double>());
  if (json.is_number_integer()) return Value(json.get<std::int64_t>());
  if (json.is_number_float()) return Value(json.get<double>());
  if (json.is_string()) return Value(json.get<std::string>());
  if (json.is_array()) {
    List items;
    for (const auto& item : json) items.push_back(from_json(item, max_depth - 1));
    return Value::list(std::move(items));
  }
  Dict pairs;
  for (const auto& [key, item] : json.items()) pairs.emplace_back(Value(key), from_json(item, max_depth - 1));
  return Value::dict(std::move(pairs));
}

}  // namespace bitnet::jinja
