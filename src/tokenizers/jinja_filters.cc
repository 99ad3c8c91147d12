// Filters by name.
#include <algorithm>
#include <array>
#include <cmath>

#include "common/error.h"
#include "common/utf8.h"
#include "tokenizers/jinja_interpreter.h"
#include "tokenizers/jinja_text.h"

namespace bitnet::jinja {
namespace {

using Arguments = const CallArguments&;

std::string text_or(Arguments a, std::string_view name, std::size_t position, std::string fallback) {
  const Value* value = a.find(name, position);
  return value == nullptr || value->is(Kind::none) ? fallback : to_text(*value);
}

bool flag(Arguments a, std::string_view name, std::size_t position, bool fallback) {
  const Value* value = a.find(name, position);
  return value == nullptr ? fallback : truth(*value);
}

// "a.b.0" of an item, or the item itself without a name.
Value by_attribute(Interpreter& in, const Value& item, const Value* name) {
  if (name == nullptr || name->is(Kind::none)) return item;
  if (name->is_whole()) return in.subscript(item, *name);
  Value value = item;
  for (const std::string& part : split_by(to_text(*name), ".", INT64_MAX, false)) {
    const bool number =
        !part.empty() && std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; }) && part.size() < 10;
    value = in.subscript(value, number ? Value(std::int64_t{std::stoi(part)}) : Value(part));
  }
  return value;
}

Value folded(const Value& value, bool case_sensitive) {
  return !case_sensitive && value.is(Kind::string) ? Value(lower(value.text())) : value;
}

List sorted(Interpreter& in, List items, const Value* attribute, bool reverse, bool case_sensitive) {
  in.budget().step(items.size() * 8);
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : items) keyed.emplace_back(folded(by_attribute(in, item, attribute), case_sensitive), item);
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return reverse ? compare(b.first, a.first) < 0 : compare(a.first, b.first) < 0;
  });
  for (std::size_t i = 0; i < items.size(); ++i) items[i] = keyed[i].second;
  return items;
}

Value to_integer(const Value& value, std::int64_t fallback) {
  if (value.is_whole()) return Value(value.integer());
  if (value.is(Kind::real))
    return std::fabs(value.real()) < 9e18 ? Value(static_cast<std::int64_t>(value.real())) : Value(fallback);
  if (!value.is(Kind::string)) return Value(fallback);
  const std::string text = strip(value.text(), nullptr, true, true);
  char* end = nullptr;
  errno = 0;
  const long long whole_value = std::strtoll(text.c_str(), &end, 10);
  if (!text.empty() && *end == '\0' && errno == 0) return Value(static_cast<std::int64_t>(whole_value));
  const double real = std::strtod(text.c_str(), &end);
  return !text.empty() && *end == '\0' && std::fabs(real) < 9e18 ? Value(static_cast<std::int64_t>(real)) : Value(fallback);
}

Value to_real(const Value& value, double fallback) {
  if (value.is_number()) return Value(value.real());
  if (!value.is(Kind::string)) return Value(fallback);
  const std::string text = strip(value.text(), nullptr, true, true);
  char* end = nullptr;
  const double real = std::strtod(text.c_str(), &end);
  return Value(!text.empty() && *end == '\0' ? real : fallback);
}

// Words of Jinja's own title filter begin behind white space and opening brackets.
std::string title_words(const std::string& text) {
  std::string out;
  bool start = true;
  for (const char32_t c : code_points(text)) {
    std::string one;
    utf8_append(one, c);
    const bool separator =
        c == U'-' || c == U'(' || c == U'{' || c == U'[' || c == U'<' || strip(one, nullptr, true, true).empty();
    out += start && !separator ? upper(one) : lower(one);
    start = separator;
  }
  return out;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Value join(Interpreter& in, const Value& input, Arguments a) {
  const std::string separator = text_or(a, "d", 0, "");
  const Value* attribute = a.find("attribute", 1);
  std::string out;
  bool first = true;
  for (const Value& item : in.iterate(input)) {
    if (!first) out += separator;
    out += to_text(by_attribute(in, item, attribute));
    in.budget().text(out.size() > (1u << 16) ? out : std::string());
    first = false;
  }
  return Value(in.budget().text(out));
}

Value indent(Interpreter& in, const Value& input, Arguments a) {
  const Value* width = a.find("width", 0);
  const std::int64_t spaces = width != nullptr && width->is_whole() ? width->integer() : 4;
  if (spaces < 0 || spaces > 1000) template_error(fmt::format("indent by {} is not possible, allowed are 0 to 1000", spaces));
  const std::string margin =
      width != nullptr && width->is(Kind::string) ? width->text() : std::string(static_cast<std::size_t>(spaces), ' ');
  const bool first = flag(a, "first", 1, false), blank = flag(a, "blank", 2, false);
  std::string out;
  bool start = true;
  for (const std::string& line : split_by(to_text(input), "\n", INT64_MAX, false)) {
    if (!start) out += '\n';
    if ((start ? first : blank || !line.empty())) out += margin;
    out += line;
    start = false;
    if (out.size() > in.budget().limits().output_bytes) break;
  }
  return Value(in.budget().text(out));
}

Value to_json_filter(Interpreter& in, const Value& input, Arguments a) {
  const Value* indent_value =
      a.find("indent", 1);  // transformers: tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)
  const int width = indent_value == nullptr || indent_value->is(Kind::none)
                        ? -1
                        : static_cast<int>(std::clamp<std::int64_t>(whole(*indent_value, "indent"), 0, 100));
  return Value(in.budget().text(to_json(input, width, flag(a, "sort_keys", 3, false))));
}

Value map_filter(Interpreter& in, const Value& input, Arguments a) {
  List out;
  const Value *attribute = a.find("attribute", SIZE_MAX), *fallback = a.find("default", SIZE_MAX);
  if (attribute == nullptr && a.positional.empty()) template_error("map needs a filter or an attribute");
  for (const Value& item : in.iterate(input)) {
    if (attribute != nullptr) {
      const Value value = by_attribute(in, item, attribute);
      out.push_back(value.is(Kind::undefined) && fallback != nullptr ? *fallback : value);
    } else {
      out.push_back(in.apply_filter(to_text(a.positional[0]), item, {{a.positional.begin() + 1, a.positional.end()}, a.named}));
    }
  }
  return Value::list(std::move(out));
}

// select, reject, selectattr, rejectattr: the test and its arguments stand behind the attribute, if any.
Value select_filter(Interpreter& in, const std::string& name, const Value& input, Arguments a) {
  const bool with_attribute = name.ends_with("attr"), keeps = name.starts_with("select");
  const std::size_t skip = with_attribute ? 1 : 0;
  if (a.positional.size() < skip) template_error(fmt::format("{} needs an attribute", name));
  List out;
  for (const Value& item : in.iterate(input)) {
    const Value value = with_attribute ? by_attribute(in, item, &a.positional[0]) : item;
    const bool holds =
        a.positional.size() == skip
            ? truth(value)
            : in.apply_test(to_text(a.positional[skip]), value,
                            {{a.positional.begin() + static_cast<std::ptrdiff_t>(skip) + 1, a.positional.end()}, {}});
    if (holds == keeps) out.push_back(item);
  }
  return Value::list(std::move(out));
}

Value unique(Interpreter& in, const Value& input, Arguments a) {
  List seen, out;
  const bool case_sensitive = flag(a, "case_sensitive", 0, false);
  for (const Value& item : in.iterate(input)) {
    const Value key = folded(by_attribute(in, item, a.find("attribute", 1)), case_sensitive);
    in.budget().step(seen.size() / 4);
    if (std::any_of(seen.begin(), seen.end(), [&](const Value& s) { return equal(s, key); })) continue;
    seen.push_back(key), out.push_back(item);
  }
  return Value::list(std::move(out));
}

Value dict_sort(Interpreter& in, const Value& input, Arguments a) {
  if (!input.is(Kind::dict)) template_error("dictsort needs a dict");
  List items;
  for (const auto& [key, value] : input.pairs()) items.push_back(Value::list({key, value}, true));
  const Value position(std::int64_t{text_or(a, "by", 1, "key") == "value" ? 1 : 0});
  return Value::list(
      sorted(in, std::move(items), &position, flag(a, "reverse", 2, false), flag(a, "case_sensitive", 0, false)));
}

Value group_by(Interpreter& in, const Value& input, Arguments a) {
  const Value* attribute = a.find("attribute", 0);
  List groups;
  Value key;
  List members;
  const auto flush = [&] {
    if (!members.empty()) groups.push_back(Value::list({key, Value::list(std::exchange(members, {}))}, true));
  };
  for (const Value& item : sorted(in, in.iterate(input), attribute, false, false)) {
    const Value now = by_attribute(in, item, attribute);
    if (members.empty() || !equal(folded(now, false), folded(key, false))) flush(), key = now;
    members.push_back(item);
  }
  flush();
  return Value::list(std::move(groups));
}

Value batch(Interpreter& in, const Value& input, Arguments a) {
  const Value *count = a.find("linecount", 0), *fill = a.find("fill_with", 1);
  const std::int64_t size = count == nullptr ? 0 : whole(*count, "linecount");
  if (size < 1) template_error("batch needs a count of at least 1");
  List rows, row;
  for (const Value& item : in.iterate(input)) {
    row.push_back(item);
    if (static_cast<std::int64_t>(row.size()) == size) rows.push_back(Value::list(std::exchange(row, {})));
  }
  while (!row.empty() && fill != nullptr && static_cast<std::int64_t>(row.size()) < size)
    in.budget().step(), row.push_back(*fill);
  if (!row.empty()) rows.push_back(Value::list(std::move(row)));
  return Value::list(std::move(rows));
}

Value extreme(Interpreter& in, const Value& input, Arguments a, int sign) {
  const bool case_sensitive = flag(a, "case_sensitive", 0, false);
  const Value* attribute = a.find("attribute", 1);
  Value best = Value::undefined("no items"), best_key;
  bool first = true;
  for (const Value& item : in.iterate(input)) {
    const Value key = folded(by_attribute(in, item, attribute), case_sensitive);
    if (first || compare(key, best_key) * sign > 0) best = item, best_key = key;
    first = false;
  }
  return best;
}

Value sum(Interpreter& in, const Value& input, Arguments a) {
  const Value *attribute = a.find("attribute", 0), *start = a.find("start", 1);
  Value total = start == nullptr ? Value(std::int64_t{0}) : *start;
  for (const Value& item : in.iterate(input)) total = add(in.budget(), total, by_attribute(in, item, attribute));
  return total;
}

Value round_filter(const Value& input, Arguments a) {
  const Value* precision = a.find("precision", 0);
  const std::string method = text_or(a, "method", 1, "common");
  if (!input.is_number()) template_error("round needs a number");
  const double scale = std::pow(
      10.0,
      precision == nullptr ? 0.0 : static_cast<double>(std::clamp<std::int64_t>(whole(*precision, "precision"), -300, 300)));
  const double x = input.real() * scale;
  return Value((method == "ceil" ? std::ceil(x) : method == "floor" ? std::floor(x) : std::nearbyint(x)) / scale);
}

Value reverse(Interpreter& in, const Value& input, Arguments) {
  if (input.is(Kind::string)) {
    std::u32string codes = code_points(input.text());
    std::reverse(codes.begin(), codes.end());
    return Value(from_code_points(codes));
  }
  List items = in.iterate(input);
  std::reverse(items.begin(), items.end());
  return Value::list(std::move(items));
}

Value items_filter(Interpreter& in, const Value& input, Arguments) {
  if (input.is(Kind::undefined)) return Value::list({});
  if (!input.is(Kind::dict)) template_error("items needs a dict");
  return call_method(in, input, "items", {});
}

Value edge(Interpreter& in, const Value& input, bool last) {
  const List items = in.iterate(input);
  if (items.empty()) return Value::undefined("no items");
  return last ? items.back() : items.front();
}

struct Filter {
  std::string_view name;
  Value (*apply)(Interpreter& in, const Value& input, Arguments a);
};

constexpr Filter filters[] = {
    {"abs",
     [](Interpreter& in, const Value& v, Arguments) {
       return v.is_number() && v.real() < 0 ? arithmetic(in.budget(), Op::subtract, Value(std::int64_t{0}), v) : v;
     }},
    {"batch", batch},
    {"capitalize", [](Interpreter&, const Value& v, Arguments) { return Value(capitalize(to_text(v))); }},
    {"count", [](Interpreter&, const Value& v, Arguments) { return Value(length(v)); }},
    {"d", [](Interpreter& in, const Value& v, Arguments a) { return in.apply_filter("default", v, a); }},
    {"default",
     [](Interpreter&, const Value& v, Arguments a) {
       const Value* fallback = a.find("default_value", 0);
       const bool missing = v.is(Kind::undefined) || (flag(a, "boolean", 1, false) && !truth(v));
       return !missing ? v : fallback == nullptr ? Value(std::string()) : *fallback;
     }},
    {"dictsort", dict_sort},
    {"e", [](Interpreter& in, const Value& v, Arguments) { return Value(in.budget().text(escaped(to_text(v)))); }},
    {"escape", [](Interpreter& in, const Value& v, Arguments) { return Value(in.budget().text(escaped(to_text(v)))); }},
    {"first", [](Interpreter& in, const Value& v, Arguments) { return edge(in, v, false); }},
    {"float",
     [](Interpreter&, const Value& v, Arguments a) {
       const Value* f = a.find("default", 0);
       return to_real(v, f == nullptr ? 0.0 : f->real());
     }},
    {"groupby", group_by},
    {"indent", indent},
    {"int",
     [](Interpreter&, const Value& v, Arguments a) {
       const Value* f = a.find("default", 0);
       return to_integer(v, f == nullptr ? 0 : f->integer());
     }},
    {"items", items_filter},
    {"join", join},
    {"last", [](Interpreter& in, const Value& v, Arguments) { return edge(in, v, true); }},
    {"length", [](Interpreter&, const Value& v, Arguments) { return Value(length(v)); }},
    {"list", [](Interpreter& in, const Value& v, Arguments) { return Value::list(in.iterate(v)); }},
    {"lower", [](Interpreter&, const Value& v, Arguments) { return Value(lower(to_text(v))); }},
    {"map", map_filter},
    {"max", [](Interpreter& in, const Value& v, Arguments a) { return extreme(in, v, a, 1); }},
    {"min", [](Interpreter& in, const Value& v, Arguments a) { return extreme(in, v, a, -1); }},
    {"replace",
     [](Interpreter& in, const Value& v, Arguments a) {
       const Value* count = a.find("count", 2);
       return Value(
           in.budget().text(replace(to_text(v), text_or(a, "old", 0, ""), text_or(a, "new", 1, ""),
                                    count == nullptr ? -1 : whole(*count, "count"), in.budget().limits().output_bytes)));
     }},
    {"reverse", reverse},
    {"round", [](Interpreter&, const Value& v, Arguments a) { return round_filter(v, a); }},
    {"safe", [](Interpreter&, const Value& v, Arguments) { return v; }},
    {"sort",
     [](Interpreter& in, const Value& v, Arguments a) {
       return Value::list(sorted(in, in.iterate(v), a.find("attribute", 2), flag(a, "reverse", 0, false),
                                 flag(a, "case_sensitive", 1, false)));
     }},
    {"string", [](Interpreter& in, const Value& v, Arguments) { return Value(in.budget().text(to_text(v))); }},
    {"sum", sum},
    {"title", [](Interpreter&, const Value& v, Arguments) { return Value(title_words(to_text(v))); }},
    {"tojson", to_json_filter},
    {"trim",
     [](Interpreter& in, const Value& v, Arguments a) {
       const Value* chars = a.find("chars", 0);
       in.budget().text(to_text(v));
       return Value(strip(to_text(v), chars == nullptr || !chars->is(Kind::string) ? nullptr : &chars->text(), true, true));
     }},
    {"unique", unique},
    {"upper", [](Interpreter&, const Value& v, Arguments) { return Value(upper(to_text(v))); }},
    {"wordcount",
     [](Interpreter&, const Value& v, Arguments) {
       return Value(static_cast<std::int64_t>(split_white_space(to_text(v), INT64_MAX, false).size()));
     }},
};

}  // namespace

Value Interpreter::apply_filter(const std::string& name, const Value& input, const CallArguments& arguments) {
  budget_.step(1 + (input.is(Kind::string) ? input.text().size() / 64 : 0));
  if (name.starts_with("select") || name.starts_with("reject")) {
    if (name == "select" || name == "reject" || name == "selectattr" || name == "rejectattr")
      return select_filter(*this, name, input, arguments);
  }
  for (const Filter& filter : filters) {
    if (filter.name == name) return filter.apply(*this, input, arguments);
  }
  template_error(fmt::format("there is no filter '{}'", printable(name)));
}

}  // namespace bitnet::jinja
