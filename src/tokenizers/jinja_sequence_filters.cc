// The filters that go over lists and dicts.
#include <algorithm>
#include <array>

#include "tokenizers/jinja_builtins.h"
#include "tokenizers/jinja_format.h"
#include "tokenizers/jinja_operators.h"
#include "tokenizers/jinja_text.h"

namespace bitnet::jinja {
namespace {

// A path of attributes, as "address.city", or one number. Without a path, what it leads to is the value itself.
class Path {
 public:
  Path(Budget& budget, const Value* path) {
    if (path == nullptr || path->is(Kind::none)) return;
    if (!path->is(Kind::string)) {
      parts_.push_back(*path);
      return;
    }
    for (const std::string_view part : split(budget, path->text(), ".", -1)) {
      if (all_are(part, CharClass::decimal))
        parts_.emplace_back(parse_integer(budget, part).value_or(0));
      else
        parts_.emplace_back(std::string(part));
    }
  }

  Value of(Budget& budget, Value value, const Value* fallback = nullptr) const {
    for (const Value& part : parts_) {
      value = subscript(budget, value, part);
      if (fallback != nullptr && value.is(Kind::undefined)) value = *fallback;
    }
    return value;
  }

 private:
  std::vector<Value> parts_;
};

Value ignoring_case(Budget& budget, Value value) {
  if (!value.is(Kind::string)) return value;
  budget.string(value.text().size());
  return Value(lower(value.text()));
}

struct Keyed {
  Value key, item;
};

// Stable, also when reversed, as Python sorts.
void sort_keyed(Budget& budget, std::vector<Keyed>& list, bool reverse) {
  std::stable_sort(list.begin(), list.end(), [&](const Keyed& a, const Keyed& b) {
    return reverse ? compare(budget, a.key, b.key) > 0 : compare(budget, a.key, b.key) < 0;
  });
}

Value items_of(Budget& budget, const std::vector<Keyed>& list) {
  List items;
  for (const Keyed& keyed : list) items.push_back(keyed.item);
  return Value::list(budget, std::move(items));
}

std::vector<Keyed> keyed_items(Budget& budget, const Value& self, const Path& path, bool case_sensitive,
                               const Value* fallback = nullptr) {
  std::vector<Keyed> list;
  for (const Value& item : elements(budget, self)) {
    Value key = path.of(budget, item, fallback);
    list.push_back({case_sensitive ? key : ignoring_case(budget, key), item});
  }
  return list;
}

Value sorted(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  std::vector<Path> paths;
  if (p.given(2) && p.get(2)->is(Kind::string)) {
    for (const std::string_view part : split(budget, p.string(2), ",", -1)) {
      const Value path{std::string(part)};
      paths.emplace_back(budget, &path);
    }
  } else {
    paths.emplace_back(budget, p.get(2));
  }
  std::vector<Keyed> list;
  for (const Value& item : elements(budget, self)) {
    List key;
    for (const Path& path : paths) {
      Value part = path.of(budget, item);
      key.push_back(p.flag(1, false) ? part : ignoring_case(budget, part));
    }
    list.push_back({key.size() == 1 ? key[0] : Value::list(budget, key), item});
  }
  sort_keyed(budget, list, p.flag(0, false));
  return items_of(budget, list);
}

Value dict_sorted(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  if (!self.is(Kind::dict)) template_error("dictsort wants a dict, not a {}", type_name(self));
  const std::string by = p.text(budget, 1, "key");
  if (by != "key" && by != "value") template_error("dictsort sorts by key or value");
  std::vector<Keyed> list;
  for (const auto& [key, value] : self.pairs()) {
    const Value& sort_by = by == "key" ? key : value;
    list.push_back(
        {p.flag(0, false) ? sort_by : ignoring_case(budget, sort_by), Value::list(budget, {key, value}, Kind::tuple)});
  }
  sort_keyed(budget, list, p.flag(2, false));
  return items_of(budget, list);
}

Value extreme(Budget& budget, const Value& self, const CallArguments& arguments, bool largest) {
  const Parameters p(largest ? "max" : "min", arguments, {"case_sensitive", "attribute"});
  const std::vector<Keyed> list = keyed_items(budget, self, Path(budget, p.get(1)), p.flag(0, false));
  if (list.empty()) return Value::undefined("the extreme of an empty list");
  const Keyed* best = &list[0];
  for (const Keyed& keyed : list) {
    const int order = compare(budget, keyed.key, best->key);
    if (largest ? order > 0 : order < 0) best = &keyed;
  }
  return best->item;
}
Value smallest(Budget& b, const Value& self, const CallArguments& a) { return extreme(b, self, a, false); }
Value largest(Budget& b, const Value& self, const CallArguments& a) { return extreme(b, self, a, true); }

Value unique(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("unique", arguments, {"case_sensitive", "attribute"});
  List kept, keys;
  for (const Keyed& keyed : keyed_items(budget, self, Path(budget, p.get(1)), p.flag(0, false))) {
    check_key(keyed.key);
    if (std::any_of(keys.begin(), keys.end(), [&](const Value& key) { return equal(budget, key, keyed.key); })) continue;
    keys.push_back(keyed.key);
    kept.push_back(keyed.item);
  }
  return Value::list(budget, std::move(kept));
}

Value grouped(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("groupby", arguments, {"attribute", "default", "case_sensitive"});
  const Path path(budget, &p.required(0));
  const Value* fallback = p.given(1) ? p.get(1) : nullptr;
  std::vector<Keyed> list = keyed_items(budget, self, path, p.flag(2, false), fallback);
  sort_keyed(budget, list, false);
  List groups;
  for (std::size_t begin = 0; begin < list.size();) {
    List members;
    std::size_t end = begin;
    while (end < list.size() && equal(budget, list[end].key, list[begin].key)) members.push_back(list[end++].item);
    const Value key = path.of(budget, list[begin].item, fallback);
    groups.push_back(Value::list(budget, {key, Value::list(budget, std::move(members))}, Kind::tuple));
    begin = std::max(end, begin + 1);  // a NaN is not equal to itself
  }
  return Value::list(budget, std::move(groups));
}

Value first(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("first", arguments, {});
  const List items = elements(budget, self);
  return items.empty() ? Value::undefined("the first item of an empty list") : items.front();
}

Value last(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("last", arguments, {});
  const List items = elements(budget, self);
  return items.empty() ? Value::undefined("the last item of an empty list") : items.back();
}

Value as_list(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("list", arguments, {});
  return Value::list(budget, elements(budget, self));
}

Value reversed(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("reverse", arguments, {});
  if (self.is(Kind::string)) return slice(budget, self, Value(), Value(), Value(std::int64_t{-1}));
  List items = elements(budget, self);
  std::reverse(items.begin(), items.end());
  return Value::list(budget, std::move(items));
}

Value pairs_of(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("items", arguments, {});
  if (self.is(Kind::undefined)) return Value::list(budget, {});
  if (!self.is(Kind::dict)) template_error("items wants a dict, not a {}", type_name(self));
  return find_method(Kind::dict, "items")->run(budget, self, {});
}

Value join(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("join", arguments, {"d", "attribute"});
  const Path path(budget, p.get(1));
  const std::string separator = p.text(budget, 0, "");
  std::string out;
  bool begun = false;
  for (const Value& item : elements(budget, self)) {
    const std::string text = to_text(budget, path.of(budget, item));
    budget.longer_string(out.size(), separator.size() + text.size());
    if (std::exchange(begun, true)) out += separator;
    out += text;
  }
  return Value(std::move(out));
}

Value sum(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("sum", arguments, {"attribute", "start"});
  const Path path(budget, p.get(0));
  Value total = p.get(1) == nullptr ? Value(std::int64_t{0}) : *p.get(1);
  if (total.is(Kind::string)) template_error("sum does not add strings");
  for (const Value& item : elements(budget, self)) total = arithmetic(budget, Binary::add, total, path.of(budget, item));
  return total;
}

Value batched(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("batch", arguments, {"linecount", "fill_with"});
  p.required(0);
  const auto count = static_cast<std::size_t>(std::max<std::int64_t>(p.whole(0, 0), 1));
  const List items = elements(budget, self);
  List rows;
  for (std::size_t at = 0; at < items.size(); at += std::min(count, items.size() - at)) {
    const auto begin = items.begin() + static_cast<std::ptrdiff_t>(at);
    List row(begin, begin + static_cast<std::ptrdiff_t>(std::min(count, items.size() - at)));
    if (p.given(1) && row.size() < count) {
      budget.step(count - row.size());
      row.resize(count, *p.get(1));
    }
    rows.push_back(Value::list(budget, std::move(row)));
  }
  return Value::list(budget, std::move(rows));
}

// The builtin that map, select and their like run on every item: the first argument names it, the others are its own.
struct Inner {
  const Builtin* builtin;
  CallArguments arguments;

  Inner(const Builtin* (*find)(std::string_view), const CallArguments& call, std::size_t name_at) {
    const Value& name = call.positional[name_at];
    builtin = name.is(Kind::string) ? find(name.text()) : nullptr;
    if (builtin == nullptr)
      template_error("there is no filter or test '{}'", name.is(Kind::string) ? printable(name.text()) : "?");
    arguments.positional.assign(call.positional.begin() + static_cast<std::ptrdiff_t>(name_at) + 1, call.positional.end());
    arguments.named = call.named;
  }
  Value run(Budget& budget, const Value& item) const {
    budget.step(1 + arguments.positional.size());
    return builtin->run(budget, item, arguments);
  }
};

Value map_attribute(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("map", arguments, {"attribute", "default"});
  const Path path(budget, &p.required(0));
  List items;
  for (const Value& item : elements(budget, self)) items.push_back(path.of(budget, item, p.given(1) ? p.get(1) : nullptr));
  return Value::list(budget, std::move(items));
}

Value map(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Budget::Nested nested(budget);  // map can run map
  if (!truth(self)) return Value::list(budget, {});
  if (arguments.positional.empty()) return map_attribute(budget, self, arguments);
  budget.step(arguments.positional.size());
  const Inner filter(find_filter, arguments, 0);
  List items;
  for (const Value& item : elements(budget, self)) items.push_back(filter.run(budget, item));
  return Value::list(budget, std::move(items));
}

Value selected(Budget& budget, const Value& self, const CallArguments& arguments, bool by_attribute, bool wanted) {
  if (!truth(self)) return Value::list(budget, {});
  if (by_attribute && arguments.positional.empty()) template_error("a selection by attribute needs its name");
  const Path path(budget, by_attribute ? &arguments.positional[0] : nullptr);
  const std::size_t test_at = by_attribute ? 1 : 0;
  std::optional<Inner> test;
  if (arguments.positional.size() > test_at) test.emplace(find_test, arguments, test_at);
  List kept;
  for (const Value& item : elements(budget, self)) {
    const Value value = path.of(budget, item);
    if (truth(test ? test->run(budget, value) : value) == wanted) kept.push_back(item);
  }
  return Value::list(budget, std::move(kept));
}
Value select(Budget& b, const Value& self, const CallArguments& a) { return selected(b, self, a, false, true); }
Value reject(Budget& b, const Value& self, const CallArguments& a) { return selected(b, self, a, false, false); }
Value select_attribute(Budget& b, const Value& self, const CallArguments& a) { return selected(b, self, a, true, true); }
Value reject_attribute(Budget& b, const Value& self, const CallArguments& a) { return selected(b, self, a, true, false); }

constexpr std::array<Builtin, 19> filters = {{
    {"sort", sorted},
    {"dictsort", dict_sorted},
    {"min", smallest},
    {"max", largest},
    {"unique", unique},
    {"groupby", grouped},
    {"first", first},
    {"last", last},
    {"list", as_list},
    {"reverse", reversed},
    {"items", pairs_of},
    {"join", join},
    {"sum", sum},
    {"batch", batched},
    {"map", map},
    {"select", select},
    {"reject", reject},
    {"selectattr", select_attribute},
    {"rejectattr", reject_attribute},
}};

}  // namespace

const Builtin* find_sequence_filter(std::string_view name) { return find_row(filters, name); }

}  // namespace bitnet::jinja
