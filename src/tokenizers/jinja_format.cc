// Writes values as Python would print them.
#include "tokenizers/jinja_format.h"

#include <algorithm>
#include <cmath>

#include "common/utf8.h"
#include "tokenizers/unicode.h"

namespace bitnet::jinja {
namespace {

// Text under construction that can pass neither the limit of one string nor the budget.
class Writer {
 public:
  explicit Writer(Budget& budget) : budget_(budget) {}

  void put(std::string_view text) {
    budget_.longer_string(out_.size(), text.size());
    out_ += text;
  }
  void node() { budget_.step(); }
  Budget& budget() { return budget_; }
  std::string take() { return std::move(out_); }

 private:
  Budget& budget_;
  std::string out_;
};

bool is_printable(char32_t code) {  // str.isprintable()
  const auto category = unicode::category(code);
  return code == U' ' ||
         !(category == unicode::Category::Cn || unicode::between(category, unicode::Category::Zs, unicode::Category::Co));
}

// A quoted text in the making: handed to the writer piece by piece, so that it ends where the limit does.
class Pieces {
 public:
  explicit Pieces(Writer& out) : out_(out) {}
  std::string& piece() {
    if (piece_.size() >= 4096) flush();
    return piece_;
  }
  void flush() {
    out_.put(piece_);
    piece_.clear();
  }

 private:
  Writer& out_;
  std::string piece_;
};

void write_quoted(Writer& out, std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos, has_double = text.find('"') != std::string_view::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  Pieces pieces(out);
  pieces.piece() += quote;
  while (!text.empty()) {
    std::string& to = pieces.piece();
    const Utf8Char c = utf8_decode(text);
    const auto code = static_cast<std::uint32_t>(c.code);
    if (c.code == U'\n')
      to += "\\n";
    else if (c.code == U'\r')
      to += "\\r";
    else if (c.code == U'\t')
      to += "\\t";
    else if (c.code == U'\\' || code == static_cast<unsigned char>(quote))
      to += {'\\', static_cast<char>(code)};
    else if (is_printable(c.code))
      to += text.substr(0, c.size);
    else if (code < 0x100)
      to += fmt::format("\\x{:02x}", code);
    else if (code < 0x10000)
      to += fmt::format("\\u{:04x}", code);
    else
      to += fmt::format("\\U{:08x}", code);
    text.remove_prefix(c.size);
  }
  pieces.piece() += quote;
  pieces.flush();
}

void write_repr(Writer& out, const Value& value) {
  out.node();
  const auto sequence = [&](std::string_view open, std::string_view close) {
    out.put(open);
    for (std::size_t i = 0; i < value.items().size(); ++i) {
      if (i > 0) out.put(", ");
      write_repr(out, value.items()[i]);
    }
    out.put(close);
  };
  switch (value.kind()) {
    case Kind::undefined:
      return out.put("Undefined");
    case Kind::none:
      return out.put("None");
    case Kind::boolean:
      return out.put(value.integer() ? "True" : "False");
    case Kind::integer:
      return out.put(std::to_string(value.integer()));
    case Kind::real:
      return out.put(real_to_text(value.real()));
    case Kind::string:
      return write_quoted(out, value.text());
    case Kind::list:
      return sequence("[", "]");
    case Kind::tuple:
      return sequence("(", value.items().size() == 1 ? ",)" : ")");
    case Kind::dict:
      break;
    default:
      template_error("a {} has no text form", type_name(value));
  }
  out.put("{");
  bool first = true;
  for (const auto& [key, item] : value.pairs()) {
    if (!std::exchange(first, false)) out.put(", ");
    write_repr(out, key);
    out.put(": ");
    write_repr(out, item);
  }
  out.put("}");
}

void append_json_escape(std::string& out, char32_t code) {
  static constexpr std::string_view plain = "\"\\\n\r\t\b\f", letters = "\"\\nrtbf";
  const std::size_t found = code < 0x80 ? plain.find(static_cast<char>(code)) : std::string_view::npos;
  if (found != std::string_view::npos) {
    out += {'\\', letters[found]};
  } else if (code >= 0x10000) {
    const auto offset = static_cast<std::uint32_t>(code) - 0x10000;
    out += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + (offset >> 10), 0xdc00 + (offset & 0x3ff));
  } else {
    out += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(code));
  }
}

void write_json_quoted(Writer& out, std::string_view text, bool ensure_ascii) {
  Pieces pieces(out);
  pieces.piece() += '"';
  while (!text.empty()) {
    const Utf8Char c = utf8_decode(text);
    const bool plain = c.code >= 0x20 && c.code != U'"' && c.code != U'\\' && (c.code < 0x7f || !ensure_ascii);
    if (plain)
      pieces.piece() += text.substr(0, c.size);
    else
      append_json_escape(pieces.piece(), c.code);
    text.remove_prefix(c.size);
  }
  pieces.piece() += '"';
  pieces.flush();
}

class JsonWriter {
 public:
  JsonWriter(Budget& budget, const JsonStyle& style) : out_(budget), style_(style) {}

  std::string run(const Value& value) {
    write(value, 0);
    return out_.take();
  }

 private:
  static std::string real_text(double value) {
    if (std::isnan(value)) return "NaN";
    return std::isinf(value) ? (value > 0 ? "Infinity" : "-Infinity") : real_to_text(value);
  }

  void write(const Value& value, int level) {
    out_.node();
    switch (value.kind()) {
      case Kind::none:
        return out_.put("null");
      case Kind::boolean:
        return out_.put(value.integer() ? "true" : "false");
      case Kind::integer:
        return out_.put(std::to_string(value.integer()));
      case Kind::real:
        return out_.put(real_text(value.real()));
      case Kind::string:
        return write_json_quoted(out_, value.text(), style_.ensure_ascii);
      case Kind::list:
      case Kind::tuple:
        return write_list(value.items(), level);
      case Kind::dict:
        return write_dict(value.pairs(), level);
      default:
        template_error("an object of type {} has no JSON form", type_name(value));
    }
  }

  void new_line(int level) {
    if (!style_.indent) return;
    out_.put("\n");
    for (int i = 0; i < level; ++i) out_.put(*style_.indent);
  }

  void between(bool first, int level) {
    if (!first) out_.put(style_.item_separator);
    new_line(level);
  }

  void write_list(const List& items, int level) {
    if (items.empty()) return out_.put("[]");
    out_.put("[");
    for (std::size_t i = 0; i < items.size(); ++i) {
      between(i == 0, level + 1);
      write(items[i], level + 1);
    }
    new_line(level);
    out_.put("]");
  }

  void write_dict(const Dict& pairs, int level) {
    if (pairs.empty()) return out_.put("{}");
    std::vector<const std::pair<Value, Value>*> order;
    for (const auto& pair : pairs) order.push_back(&pair);
    if (style_.sort_keys) {
      std::stable_sort(order.begin(), order.end(),
                       [&](const auto* a, const auto* b) { return compare(out_.budget(), a->first, b->first) < 0; });
    }
    out_.put("{");
    for (std::size_t i = 0; i < order.size(); ++i) {
      between(i == 0, level + 1);
      write_key(order[i]->first);
      out_.put(style_.key_separator);
      write(order[i]->second, level + 1);
    }
    new_line(level);
    out_.put("}");
  }

  void write_key(const Value& key) {
    if (key.is(Kind::string)) return write(key, 0);
    if (key.is_sequence() || key.is(Kind::undefined)) template_error("a {} cannot be a key of JSON", type_name(key));
    out_.put("\"");
    write(key, 0);
    out_.put("\"");
  }

  Writer out_;
  const JsonStyle& style_;
};

// One conversion of a % format: the text between '%' and its letter, and the letter.
struct Conversion {
  std::string flags;
  char letter;
};

// Reads the conversion behind format[at] == '%' and moves `at` behind it.
Conversion read_conversion(const std::string& format, std::size_t& at) {
  const std::size_t begin = ++at;
  at = std::min(format.find_first_not_of("-+ #0", at), format.size());
  const std::size_t digits = at;
  at = std::min(format.find_first_not_of("0123456789.", at), format.size());
  if (at - digits > 6) template_error("a % format is wider than 999999");
  if (at == format.size()) template_error("a % format is incomplete");
  return {format.substr(begin, at - begin), format[at++]};
}

std::string convert_text(const Conversion& conversion, const std::string& text) {
  const std::size_t dot = conversion.flags.find('.');
  const std::string head = conversion.flags.substr(0, dot);
  const std::size_t first_digit = std::min(head.find_first_of("123456789"), head.size());
  const auto width = static_cast<std::size_t>(std::atol(head.c_str() + first_digit));
  const std::size_t most =
      dot == std::string::npos ? text.size() : static_cast<std::size_t>(std::atol(conversion.flags.c_str() + dot + 1));
  std::string out;
  std::size_t codes = 0;
  for (std::string_view rest = text; !rest.empty() && codes < most; ++codes) {
    const std::size_t size = utf8_decode(rest).size;
    out += rest.substr(0, size);
    rest.remove_prefix(size);
  }
  const std::string padding(width > codes ? width - codes : 0, ' ');
  return head.substr(0, first_digit).find('-') != std::string::npos ? out + padding : padding + out;
}

std::string convert_number(const Conversion& conversion, const Value& value) {
  if (!value.is_number()) template_error("a % format wants a number, not a {}", type_name(value));
  const bool whole = std::string_view("diuxXoc").find(conversion.letter) != std::string_view::npos;
  if (std::string_view("diu").find(conversion.letter) == std::string_view::npos && whole && !value.is_whole()) {
    template_error("a % format wants a whole number");
  }
  if (whole && !value.is_whole() && !(std::fabs(value.real()) < 9e18)) template_error("a number does not fit 64 bits");
  const std::int64_t integer = value.is_whole() ? value.integer() : static_cast<std::int64_t>(value.real());
  if (integer < 0 && std::string_view("xXo").find(conversion.letter) != std::string_view::npos) {
    template_error("a % format wants a number that is not negative");
  }
  const std::string pattern =
      "%" + conversion.flags + (whole ? "ll" : "") + (conversion.letter == 'u' ? 'd' : conversion.letter);
  const auto print = [&](char* to, std::size_t size) {
    return whole ? std::snprintf(to, size, pattern.c_str(), static_cast<long long>(integer))
                 : std::snprintf(to, size, pattern.c_str(), value.real());
  };
  std::string out(static_cast<std::size_t>(std::max(0, print(nullptr, 0))), '\0');
  print(out.data(), out.size() + 1);
  return out;
}

std::string convert(Budget& budget, const Conversion& conversion, const Value& value) {
  switch (conversion.letter) {
    case 's':
      return convert_text(conversion, to_text(budget, value));
    case 'r':
      return convert_text(conversion, to_repr(budget, value));
    case 'c':
      if (value.is(Kind::string)) return convert_text(conversion, value.text());
      template_error("a % format with c wants a character");
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
    case 'f':
    case 'F':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
      return convert_number(conversion, value);
    default:
      template_error("the % format '{}' is not supported", printable(std::string(1, conversion.letter)));
  }
}

}  // namespace

std::string real_to_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string to_text(Budget& budget, const Value& value) {
  if (value.is(Kind::undefined)) return {};
  if (!value.is(Kind::string)) return to_repr(budget, value);
  budget.string(value.text().size());
  return value.text();
}

std::string to_repr(Budget& budget, const Value& value) {
  Writer out(budget);
  write_repr(out, value);
  return out.take();
}

std::string to_json(Budget& budget, const Value& value, const JsonStyle& style) { return JsonWriter(budget, style).run(value); }

std::string percent_format(Budget& budget, const std::string& format, const Value& arguments) {
  const bool several = arguments.is(Kind::tuple);
  const std::size_t count = several ? arguments.items().size() : 1;
  std::size_t used = 0;
  Writer out(budget);
  for (std::size_t at = 0; at < format.size();) {
    const std::size_t next = std::min(format.find('%', at), format.size());
    out.put(std::string_view(format).substr(at, next - at));
    at = next;
    if (at == format.size()) break;
    const Conversion conversion = read_conversion(format, at);
    budget.step();
    if (conversion.letter == '%') {
      out.put("%");
      continue;
    }
    if (used == count) template_error("a % format has more conversions than arguments");
    out.put(convert(budget, conversion, several ? arguments.items()[used] : arguments));
    ++used;
  }
  if (used < count && (several || !arguments.is(Kind::dict))) template_error("a % format has fewer conversions than arguments");
  return out.take();
}

}  // namespace bitnet::jinja
