// The filters that make text, numbers or one value of another.
#include <algorithm>
#include <array>
#include <cmath>

#include "common/utf8.h"
#include "tokenizers/jinja_builtins.h"
#include "tokenizers/jinja_format.h"
#include "tokenizers/jinja_operators.h"
#include "tokenizers/jinja_text.h"

namespace bitnet::jinja {
namespace {

template <std::string (*change)(std::string_view)>
Value changed(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("a change of case", arguments, {});
  return Value::string(budget, change(to_text(budget, self)));
}

Value as_text(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("string", arguments, {});
  return Value::string(budget, to_text(budget, self));
}

Value trim(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("trim", arguments, {"chars"});
  const std::string text = to_text(budget, self);
  return Value::string(budget, std::string(p.given(0) ? strip(budget, text, Side::both, p.string(0)) : strip_space(text)));
}

Value replace_text(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("replace", arguments, {"old", "new", "count"});
  p.required(0), p.required(1);
  const std::int64_t limit = p.given(2) ? p.whole(2, -1) : -1;
  return Value(replace(budget, to_text(budget, self), p.text(budget, 0, ""), p.text(budget, 1, ""), limit));
}

Value escape(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("escape", arguments, {});
  std::string out;
  for (const char c : to_text(budget, self)) {
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
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return Value::string(budget, std::move(out));
}

Value indent(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("indent", arguments, {"width", "first", "blank"});
  if (!self.is(Kind::string)) template_error("indent wants a string, not a {}", type_name(self));
  const bool text_given = p.get(0) != nullptr && p.get(0)->is(Kind::string);
  const std::int64_t width = text_given ? 0 : std::max<std::int64_t>(p.whole(0, 4), 0);
  budget.string(static_cast<std::uint64_t>(width));
  const std::string indention = text_given ? p.string(0) : std::string(static_cast<std::size_t>(width), ' ');
  const bool first = p.flag(1, false), blank = p.flag(2, false);
  const std::string text = self.text() + "\n";  // so that an empty text has a line too
  std::string out;
  std::size_t number = 0;
  for (const std::string_view line : split_lines(text, false)) {
    const bool indented = number == 0 ? first : blank || !line.empty();
    budget.longer_string(out.size(), line.size() + indention.size() + 1);
    budget.step();
    if (number++ > 0) out += '\n';
    if (indented) out += indention;
    out += line;
  }
  return Value(std::move(out));
}

Value center(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("center", arguments, {"width"});
  const Value text = Value::string(budget, to_text(budget, self));
  return find_string_method("center")->run(budget, text, {{Value(p.whole(0, 80))}, {}});
}

Value word_count(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("wordcount", arguments, {});
  const std::string text = to_text(budget, self);
  std::int64_t count = 0;
  bool in_word = false;
  for (std::string_view rest = text; !rest.empty(); rest.remove_prefix(utf8_decode(rest).size)) {
    const std::string_view character = rest.substr(0, utf8_decode(rest).size);
    const bool word = character == "_" || all_are(character, CharClass::alnum);
    count += word && !in_word;
    in_word = word;
  }
  return Value(count);
}

Value format_text(Budget& budget, const Value& self, const CallArguments& arguments) {
  if (!arguments.named.empty()) template_error("format with named arguments is not supported");
  return Value(percent_format(budget, to_text(budget, self), Value::list(budget, arguments.positional, Kind::tuple)));
}

Value to_json_text(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = p.flag(0, false);
  style.sort_keys = p.flag(3, false);
  if (p.given(1)) {
    const bool text_given = p.get(1)->is(Kind::string);
    const std::int64_t width = text_given ? 0 : std::max<std::int64_t>(p.whole(1, 0), 0);
    budget.string(static_cast<std::uint64_t>(width));
    style.indent = text_given ? p.string(1) : std::string(static_cast<std::size_t>(width), ' ');
    style.item_separator = ",";
  }
  if (p.given(2)) {
    const Value& pair = *p.get(2);
    if (!pair.is_sequence() || pair.items().size() != 2 || !pair.items()[0].is(Kind::string) ||
        !pair.items()[1].is(Kind::string)) {
      template_error("tojson wants two strings as 'separators'");
    }
    style.item_separator = pair.items()[0].text();
    style.key_separator = pair.items()[1].text();
  }
  return Value(to_json(budget, self, style));
}

Value default_value(Budget&, const Value& self, const CallArguments& arguments) {
  const Parameters p("default", arguments, {"default_value", "boolean"});
  if (!self.is(Kind::undefined) && !(p.flag(1, false) && !truth(self))) return self;
  return p.get(0) == nullptr ? Value(std::string()) : *p.get(0);
}

Value length_of(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("length", arguments, {});
  return Value(length(budget, self));
}

void need_defined(const Value& self) {
  if (self.is(Kind::undefined)) template_error("{} is undefined", self.missing());
}

std::optional<std::int64_t> whole_part(double value) {
  if (std::isnan(value)) return std::nullopt;
  if (!(std::fabs(value) < 9.2e18)) template_error("a number does not fit 64 bits");
  return static_cast<std::int64_t>(value);
}

Value to_integer(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("int", arguments, {"default", "base"});
  need_defined(self);
  if (p.whole(1, 10) != 10) template_error("int with another base than 10 is not supported");
  std::optional<std::int64_t> value;
  if (self.is(Kind::string)) {
    value = parse_integer(budget, self.text());
    const auto real = value ? std::nullopt : parse_real(budget, self.text());
    if (real && std::isfinite(*real)) value = whole_part(*real);
  } else if (self.is_number()) {
    value = self.is_whole() ? self.integer() : whole_part(self.real());
  }
  if (value) return Value(*value);
  return p.get(0) == nullptr ? Value(std::int64_t{0}) : *p.get(0);
}

Value to_real(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("float", arguments, {"default"});
  need_defined(self);
  if (self.is_number()) return Value(self.real());
  if (const auto value = self.is(Kind::string) ? parse_real(budget, self.text()) : std::nullopt) return Value(*value);
  return p.get(0) == nullptr ? Value(0.0) : *p.get(0);
}

Value absolute(Budget&, const Value& self, const CallArguments& arguments) {
  const Parameters p("abs", arguments, {});
  need_defined(self);
  if (!self.is_number()) template_error("abs wants a number, not a {}", type_name(self));
  if (self.is(Kind::real)) return Value(std::fabs(self.real()));
  return self.integer() < 0 ? negate(self) : Value(self.integer());
}

Value rounded(Budget& budget, const Value& self, const CallArguments& arguments) {
  const Parameters p("round", arguments, {"precision", "method"});
  need_defined(self);
  if (!self.is_number()) template_error("round wants a number, not a {}", type_name(self));
  const std::int64_t precision = p.whole(0, 0);
  const std::string method = p.text(budget, 1, "common");
  if (method != "common" && method != "ceil" && method != "floor")
    template_error("round knows the methods common, ceil and floor");
  if (precision < 0 || precision > 300) template_error("round: the precision is {}, allowed are 0 to 300", precision);
  if (method == "common") {
    if (self.is_whole()) return Value(self.integer());
    if (!std::isfinite(self.real())) return self;
    // Printing rounds the exact value, halves to even: what Python does.
    return Value(std::strtod(fmt::format("{:.{}f}", self.real(), precision).c_str(), nullptr));
  }
  const double scale = std::pow(10.0, static_cast<double>(precision)), scaled = self.real() * scale;
  return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

constexpr std::array<Builtin, 24> filters = {{
    {"upper", changed<upper>},
    {"lower", changed<lower>},
    {"title", changed<title_words>},
    {"capitalize", changed<capitalize>},
    {"string", as_text},
    {"safe", as_text},
    {"trim", trim},
    {"replace", replace_text},
    {"escape", escape},
    {"e", escape},
    {"forceescape", escape},
    {"indent", indent},
    {"center", center},
    {"wordcount", word_count},
    {"format", format_text},
    {"tojson", to_json_text},
    {"default", default_value},
    {"d", default_value},
    {"length", length_of},
    {"count", length_of},
    {"int", to_integer},
    {"float", to_real},
    {"abs", absolute},
    {"round", rounded},
}};

}  // namespace

const Builtin* find_text_filter(std::string_view name) { return find_row(filters, name); }

}  // namespace bitnet::jinja
