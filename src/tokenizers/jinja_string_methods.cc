// The methods of strings.
#include <algorithm>
#include <array>

#include "common/utf8.h"
#include "tokenizers/jinja_builtins.h"
#include "tokenizers/jinja_format.h"
#include "tokenizers/jinja_operators.h"
#include "tokenizers/jinja_text.h"

namespace bitnet::jinja {
namespace {

Value text_list(Budget& budget, const std::vector<std::string_view>& parts, Kind kind = Kind::list) {
  budget.step(parts.size());
  List items;
  for (const std::string_view part : parts) items.push_back(Value::string(budget, std::string(part)));
  return Value::list(budget, std::move(items), kind);
}

Value strip_side(Budget& budget, const Value& self, const CallArguments& arguments, Side side) {
  const Parameters p("strip", arguments, {"chars"});
  const std::string_view text = self.text();
  return Value::string(budget, std::string(p.given(0) ? strip(budget, text, side, p.string(0)) : strip_space(text, side)));
}
Value strip_both(Budget& b, const Value& self, const CallArguments& a) { return strip_side(b, self, a, Side::both); }
Value strip_left(Budget& b, const Value& self, const CallArguments& a) { return strip_side(b, self, a, Side::left); }
Value strip_right(Budget& b, const Value& self, const CallArguments& a) { return strip_side(b, self, a, Side::right); }

Value split_from(Budget& budget, const Value& self, const CallArguments& arguments, bool from_end) {
  const Parameters p(from_end ? "rsplit" : "split", arguments, {"sep", "maxsplit"});
  const std::string& text = self.text();
  const std::int64_t limit = p.whole(1, -1);
  if (!p.given(0)) return text_list(budget, from_end ? split_space_last(text, limit) : split_space(text, limit));
  const std::string& separator = p.string(0);
  if (separator.empty()) template_error("a separator is empty");
  return text_list(budget, from_end ? split_last(budget, text, separator, limit) : split(budget, text, separator, limit));
}
Value split_first(Budget& b, const Value& self, const CallArguments& a) { return split_from(b, self, a, false); }
Value split_end(Budget& b, const Value& self, const CallArguments& a) { return split_from(b, self, a, true); }

Value split_in_lines(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("splitlines", arguments, {"keepends"});
  return text_list(budget, split_lines(self.text(), p.flag(0, false)));
}

Value partition_at(Budget& budget, const Value& self, const CallArguments& arguments, bool from_end) {
  const Parameters p(from_end ? "rpartition" : "partition", arguments, {"sep"});
  const std::string_view text = self.text(), separator = p.string(0);
  if (separator.empty()) template_error("a separator is empty");
  const std::size_t at = from_end ? find_last(budget, text, separator) : find(budget, text, separator);
  if (at == std::string_view::npos) {
    return text_list(budget,
                     from_end ? std::vector<std::string_view>{"", "", text} : std::vector<std::string_view>{text, "", ""},
                     Kind::tuple);
  }
  return text_list(budget, {text.substr(0, at), separator, text.substr(at + separator.size())}, Kind::tuple);
}
Value partition(Budget& b, const Value& self, const CallArguments& a) { return partition_at(b, self, a, false); }
Value partition_end(Budget& b, const Value& self, const CallArguments& a) { return partition_at(b, self, a, true); }

// The part of a text between two positions in code points, as Python clamps them.
struct Window {
  std::string_view text;
  std::int64_t begin;
  bool valid;  // false when the beginning lies behind the end
};
Window window(std::string_view text, const Parameters& p) {
  if (!p.given(1) && !p.given(2)) return {text, 0, true};
  const std::int64_t count = code_point_count(text);
  const auto position = [&](std::size_t i, std::int64_t fallback) {
    const std::int64_t at = p.given(i) ? p.whole(i, 0) : fallback;
    return at < 0 ? std::max<std::int64_t>(at + count, 0) : at;
  };
  const std::int64_t begin = position(1, 0), end = std::min(position(2, count), count);
  if (begin > end) return {{}, begin, false};
  const auto bytes = [&](std::int64_t codes) {
    std::size_t at = 0;
    for (; codes > 0; --codes) at += utf8_decode(text.substr(at)).size;
    return at;
  };
  return {text.substr(bytes(begin), bytes(end) - bytes(begin)), begin, true};
}

std::int64_t position_of(Budget& budget, const Value& self, const Parameters& p, bool from_end) {
  const Window part = window(self.text(), p);
  if (!part.valid) return -1;
  const std::size_t at = from_end ? find_last(budget, part.text, p.string(0)) : find(budget, part.text, p.string(0));
  return at == std::string_view::npos ? -1 : part.begin + code_point_count(part.text.substr(0, at));
}
Value find_first(Budget& budget, const Value& self, const CallArguments& arguments) {
  return Value(position_of(budget, self, Parameters("find", arguments, {"sub", "start", "end"}), false));
}
Value find_end(Budget& budget, const Value& self, const CallArguments& arguments) {
  return Value(position_of(budget, self, Parameters("rfind", arguments, {"sub", "start", "end"}), true));
}
Value index_of(Budget& budget, const Value& self, const CallArguments& arguments) {
  const std::int64_t at = position_of(budget, self, Parameters("index", arguments, {"sub", "start", "end"}), false);
  if (at < 0) template_error("index: the text is not found");
  return Value(at);
}

Value count_of(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("count", arguments, {"sub", "start", "end"});
  const Window part = window(self.text(), p);
  if (!part.valid) return Value(std::int64_t{0});
  if (p.string(0).empty()) return Value(code_point_count(part.text) + 1);
  return Value(static_cast<std::int64_t>(split(budget, part.text, p.string(0), -1).size()) - 1);
}

Value begins_or_ends(const Value& self, const CallArguments& arguments, bool begins) {
  const Parameters p(begins ? "startswith" : "endswith", arguments, {"prefix", "start", "end"});
  const Window part = window(self.text(), p);
  const auto matches = [&](const Value& affix) {
    if (!affix.is(Kind::string))
      template_error("{} wants a string, not a {}", begins ? "startswith" : "endswith", type_name(affix));
    return part.valid && (begins ? part.text.starts_with(affix.text()) : part.text.ends_with(affix.text()));
  };
  const Value& affix = p.required(0);
  if (!affix.is(Kind::tuple)) return Value(matches(affix));
  return Value(std::any_of(affix.items().begin(), affix.items().end(), matches));
}
Value starts_with(Budget&, const Value& self, const CallArguments& a) { return begins_or_ends(self, a, true); }
Value ends_with(Budget&, const Value& self, const CallArguments& a) { return begins_or_ends(self, a, false); }

Value remove_prefix(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("removeprefix", arguments, {"prefix"});
  const std::string& text = self.text();
  return Value::string(budget, text.starts_with(p.string(0)) ? text.substr(p.string(0).size()) : text);
}
Value remove_suffix(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("removesuffix", arguments, {"suffix"});
  const std::string& text = self.text();
  return Value::string(budget, text.ends_with(p.string(0)) ? text.substr(0, text.size() - p.string(0).size()) : text);
}

Value replace_text(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("replace", arguments, {"old", "new", "count"});
  return Value(replace(budget, self.text(), p.string(0), p.string(1), p.whole(2, -1)));
}

Value join_items(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("join", arguments, {"iterable"});
  std::string out;
  bool first = true;
  for (const Value& item : elements(budget, p.required(0))) {
    if (!item.is(Kind::string)) template_error("join wants strings, not a {}", type_name(item));
    budget.longer_string(out.size(), self.text().size() + item.text().size());
    if (!std::exchange(first, false)) out += self.text();
    out += item.text();
  }
  return Value(std::move(out));
}

template <std::string (*change)(std::string_view)>
Value changed(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("a change of case", arguments, {});
  return Value::string(budget, change(self.text()));
}

template <CharClass wanted>
Value has_only(Budget&, const Value& self, const CallArguments& arguments) {
  const Parameters p("a test of characters", arguments, {});
  return Value(all_are(self.text(), wanted));
}
Value has_lower(Budget&, const Value& self, const CallArguments&) { return Value(is_lower(self.text())); }
Value has_upper(Budget&, const Value& self, const CallArguments&) { return Value(is_upper(self.text())); }

enum class Align : std::uint8_t { left, right, center };
template <Align align>
Value padded(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("a padding", arguments, {"width", "fillchar"});
  p.required(0);
  const std::string fill = p.text(budget, 1, " ");
  if (code_point_count(fill) != 1) template_error("a padding wants one fill character");
  const std::int64_t width = p.whole(0, 0), size = code_point_count(self.text()),
                     missing = std::max<std::int64_t>(width - size, 0);
  budget.string(self.text().size() + static_cast<std::uint64_t>(missing));
  // Python puts the odd character of a centred text to the left only when the width is odd.
  const std::int64_t left = align == Align::left ? 0 : align == Align::right ? missing : missing / 2 + (missing & width & 1);
  std::string out;
  for (std::int64_t i = 0; i < left; ++i) out += fill;
  out += self.text();
  for (std::int64_t i = left; i < missing; ++i) out += fill;
  return Value::string(budget, std::move(out));
}

Value zero_filled(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("zfill", arguments, {"width"});
  p.required(0);
  const std::string& text = self.text();
  const std::int64_t missing = std::max<std::int64_t>(p.whole(0, 0) - code_point_count(text), 0);
  budget.string(text.size() + static_cast<std::uint64_t>(missing));
  const std::size_t sign = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  return Value(text.substr(0, sign) + std::string(static_cast<std::size_t>(missing), '0') + text.substr(sign));
}

// The argument a replacement field names: by nothing (the next one), a number or a name.
const Value& field_argument(const CallArguments& arguments, const std::string& field, std::size_t& next) {
  if (field.find_first_of(".[:!{") != std::string::npos)
    template_error("format fields with '{}' are not supported", printable(field));
  const bool number = !field.empty() && field.size() < 6 && field.find_first_not_of("0123456789") == std::string::npos;
  if (field.empty() || number) {
    const std::size_t at = number ? static_cast<std::size_t>(std::atol(field.c_str())) : next++;
    if (at >= arguments.positional.size()) template_error("format has no argument {}", at);
    return arguments.positional[at];
  }
  const auto found =
      std::find_if(arguments.named.begin(), arguments.named.end(), [&](const auto& a) { return a.first == field; });
  if (found == arguments.named.end()) template_error("format has no argument '{}'", printable(field));
  return found->second;
}

Value format_braces(Budget& budget, const Value& self, const CallArguments& arguments) {
  const std::string& format = self.text();
  std::string out;
  std::size_t next = 0;
  for (std::size_t at = 0; at < format.size(); ++at) {
    const char c = format[at];
    if (c != '{' && c != '}') {
      out += c;
    } else if (at + 1 < format.size() && format[at + 1] == c) {
      out += c, ++at;
    } else {
      const std::size_t end = c == '{' ? format.find('}', at) : std::string::npos;
      if (end == std::string::npos) template_error("format has a single brace");
      const std::string text = to_text(budget, field_argument(arguments, format.substr(at + 1, end - at - 1), next));
      budget.longer_string(out.size(), text.size());
      budget.step();
      out += text;
      at = end;
    }
  }
  return Value::string(budget, std::move(out));
}

constexpr std::array<Builtin, 34> methods = {{
    {"strip", strip_both},
    {"lstrip", strip_left},
    {"rstrip", strip_right},
    {"split", split_first},
    {"rsplit", split_end},
    {"splitlines", split_in_lines},
    {"partition", partition},
    {"rpartition", partition_end},
    {"find", find_first},
    {"rfind", find_end},
    {"index", index_of},
    {"count", count_of},
    {"startswith", starts_with},
    {"endswith", ends_with},
    {"removeprefix", remove_prefix},
    {"removesuffix", remove_suffix},
    {"replace", replace_text},
    {"join", join_items},
    {"upper", changed<upper>},
    {"lower", changed<lower>},
    {"title", changed<title>},
    {"capitalize", changed<capitalize>},
    {"isalpha", has_only<CharClass::alpha>},
    {"isdigit", has_only<CharClass::digit>},
    {"isdecimal", has_only<CharClass::decimal>},
    {"isalnum", has_only<CharClass::alnum>},
    {"isspace", has_only<CharClass::space>},
    {"islower", has_lower},
    {"isupper", has_upper},
    {"ljust", padded<Align::left>},
    {"rjust", padded<Align::right>},
    {"center", padded<Align::center>},
    {"zfill", zero_filled},
    {"format", format_braces},
}};

}  // namespace

const Builtin* find_string_method(std::string_view name) { return find_row(methods, name); }

}  // namespace bitnet::jinja
