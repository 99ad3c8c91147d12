// Numbers within bounds, digit by digit: which decimal texts lie between two decimals?
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/checked.h"
#include "inference/grammar/json_text.h"

namespace bitnet {
namespace {

constexpr std::int64_t most_value = 1'000'000'000'000'000'000;  // 10^18, where bounds saturate
constexpr std::int64_t usual_integer = 9'999'999'999'999'999;   // 16 digits
constexpr std::int64_t usual_number = 999'999'999;              // left of the point, where only one side is bound
constexpr int most_scale = 12, exact_digits = 15;

std::int64_t power_of_ten(int exponent) {
  std::int64_t power = 1;
  for (int i = 0; i < exponent; ++i) power *= 10;
  return power;
}

std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0); }
std::int64_t ceiling_div(std::int64_t a, std::int64_t b) { return a / b + (a % b > 0); }

// At `scale`, which is at least its own; nullopt when that passes 10^18.
std::optional<std::int64_t> scaled(const Decimal& d, int scale) {
  std::int64_t out = 0;
  if (__builtin_mul_overflow(d.digits, power_of_ten(scale - d.scale), &out)) return std::nullopt;
  if (out > most_value || out < -most_value) return std::nullopt;
  return out;
}

}  // namespace

std::optional<Decimal> decimal_of(const nlohmann::ordered_json& number) {
  if (number.is_number_unsigned())
    return Decimal{static_cast<std::int64_t>(std::min<std::uint64_t>(number.get<std::uint64_t>(), most_value)), 0};
  if (number.is_number_integer()) return Decimal{std::clamp(number.get<std::int64_t>(), -most_value, most_value), 0};
  const auto value = number.get<double>();
  if (std::abs(value) >= 1e17) return Decimal{value > 0 ? most_value : -most_value, 0};
  std::string text = fmt::format("{:.{}f}", value, most_scale);
  if (std::abs(std::stod(text) - value) > std::abs(value) * 1e-15) return std::nullopt;
  const std::size_t point = text.find('.');
  while (text.back() == '0') text.pop_back();
  const int scale = static_cast<int>(text.size() - point - 1);
  text.erase(point, 1);
  if (text.size() > 18) return std::nullopt;
  return Decimal{std::stoll(text), scale};
}

ExpressionId JsonText::digits(std::int64_t least, std::int64_t most) {
  return source_.repeat(source_.characters({{'0', '9'}}), least, most);
}

// Strings of as many digits as both have, which are ordered as numbers are; with a point before the last `dot` digits if not 0.
ExpressionId JsonText::between(const std::string& least, const std::string& most, std::size_t dot) {
  const std::size_t size = least.size();
  if (size == 0) return source_.empty();
  const bool point_here = dot > 0 && size == dot;
  const auto with_point = [&](ExpressionId e) { return point_here ? sequence({source_.text("."), e}) : e; };
  const auto all_digits = [&](std::size_t count) {
    const auto n = static_cast<std::int64_t>(count), d = static_cast<std::int64_t>(dot);
    if (dot == 0 || count < dot) return digits(n, n);
    return sequence({digits(n - d, n - d), source_.text("."), digits(d, d)});
  };
  const std::string rest_least = least.substr(1), rest_most = most.substr(1);
  const std::string zeros(size - 1, '0'), nines(size - 1, '9');
  const auto digit = [&](char first, char last) {
    return source_.characters({{static_cast<char32_t>(first), static_cast<char32_t>(last)}});
  };
  if (least[0] == most[0]) return with_point(sequence({digit(least[0], least[0]), between(rest_least, rest_most, dot)}));
  std::vector<ExpressionId> ways;
  char first = least[0], last = most[0];
  if (rest_least != zeros) ways.push_back(sequence({digit(first, first), between(rest_least, nines, dot)})), ++first;
  if (rest_most != nines) ways.push_back(sequence({digit(last, last), between(zeros, rest_most, dot)})), --last;
  if (first <= last) ways.push_back(sequence({digit(first, last), all_digits(size - 1)}));
  return with_point(source_.choice(std::move(ways)));
}

// The numbers from least to most (both >= 0) divided by 10^scale, with exactly `scale` decimals.
ExpressionId JsonText::range(std::int64_t least, std::int64_t most, int scale) {
  std::vector<ExpressionId> ways;
  for (int length = scale + 1; length <= 18 && least <= most; ++length) {
    const std::int64_t low = length == scale + 1 ? 0 : power_of_ten(length - 1), high = power_of_ten(length) - 1;
    const std::int64_t from = std::max(least, low), to = std::min(most, high);
    if (from > to) continue;
    ways.push_back(
        between(fmt::format("{:0{}}", from, length), fmt::format("{:0{}}", to, length), static_cast<std::size_t>(scale)));
  }
  return source_.choice(std::move(ways));
}

ExpressionId JsonText::integer(const NumberBounds& bounds) {
  if (!bounds.any()) {
    const ExpressionId whole = sequence({source_.characters({{'1', '9'}}), digits(0, 15)});
    return source_.choice({source_.text("0"), sequence({source_.optional(source_.text("-")), whole})});
  }
  std::int64_t least = -usual_integer, most = usual_integer;
  if (bounds.most) {
    const std::int64_t unit = power_of_ten(bounds.most->scale);
    most = floor_div(bounds.most->digits, unit) - (bounds.most_open && bounds.most->digits % unit == 0);
    if (!bounds.least && most < least) least = -(most_value - 1);
  }
  if (bounds.least) {
    const std::int64_t unit = power_of_ten(bounds.least->scale);
    least = ceiling_div(bounds.least->digits, unit) + (bounds.least_open && bounds.least->digits % unit == 0);
    if (!bounds.most && least > most) most = most_value - 1;
  }
  std::vector<ExpressionId> ways;
  if (most >= 0) ways.push_back(range(std::max<std::int64_t>(least, 0), std::min(most, most_value - 1), 0));
  if (least < 0) {
    const std::int64_t from = std::max<std::int64_t>(1, -most), to = std::min(-least, most_value - 1);
    ways.push_back(sequence({source_.text("-"), range(from, to, 0)}));
  }
  return source_.choice(std::move(ways));
}

// Texts of the numbers between least and most, divided by 10^scale. `tail` of more decimals: any where the first ones decide,
// not zero behind an open lower bound, zero behind the upper bound.
ExpressionId JsonText::magnitude(std::int64_t least, bool least_open, std::int64_t most, bool most_open, int scale) {
  const auto whole_digits = static_cast<std::int64_t>(std::to_string(most / power_of_ten(scale)).size());
  const std::int64_t more = std::max<std::int64_t>(1, exact_digits - whole_digits - scale);
  const bool has_point = scale > 0;
  const auto decimals = [&](ExpressionId some) { return has_point ? some : sequence({source_.text("."), some}); };
  const auto maybe = [&](ExpressionId some) { return source_.optional(decimals(some)); };
  const ExpressionId zero = source_.text("0"), positive = source_.characters({{'1', '9'}});
  std::vector<ExpressionId> ways;
  ways.push_back(sequence({range(least + least_open, most - 1, scale), maybe(digits(1, more))}));
  if (least_open && least < most) {
    const ExpressionId some =
        sequence({source_.repeat(zero, 0, (more - 1) / 2), positive, digits(0, more - 1 - (more - 1) / 2)});
    ways.push_back(sequence({range(least, least, scale), decimals(some)}));
  }
  if (!most_open && (most > least || (most == least && !least_open)))
    ways.push_back(sequence({range(most, most, scale), maybe(source_.repeat(zero, 1, 2))}));
  return source_.choice(std::move(ways));
}

std::optional<ExpressionId> JsonText::number(const NumberBounds& bounds) {
  if (!bounds.any()) {
    const ExpressionId whole = source_.choice({source_.text("0"), sequence({source_.characters({{'1', '9'}}), digits(0, 15)})});
    const ExpressionId fraction = sequence({source_.text("."), digits(1, 16)});
    const ExpressionId exponent = sequence({source_.characters({{'e', 'e'}, {'E', 'E'}}),
                                            source_.optional(source_.characters({{'+', '+'}, {'-', '-'}})), digits(1, 2)});
    return sequence({source_.optional(source_.text("-")), whole, source_.optional(fraction), source_.optional(exponent)});
  }
  const int scale = std::max(bounds.least ? bounds.least->scale : 0, bounds.most ? bounds.most->scale : 0);
  const std::int64_t usual = usual_number * power_of_ten(std::min(scale, 9));
  const auto bound = [&](const std::optional<Decimal>& given, const std::optional<Decimal>& other, std::int64_t sign) {
    if (given) return scaled(*given, scale);
    // Far enough from the other bound to leave room.
    const std::optional<std::int64_t> there = scaled(*other, scale);
    if (!there) return there;
    return std::optional(sign * std::max(usual, sign * *there * 10));
  };
  if (scale > 9) return std::nullopt;
  const std::int64_t far = power_of_ten(14);
  const auto within = [&](const std::optional<Decimal>& d) {
    return !d || std::abs(d->digits) / power_of_ten(d->scale) <= far;
  };
  if (!within(bounds.least) || !within(bounds.most)) return std::nullopt;
  const std::optional<std::int64_t> least = bound(bounds.least, bounds.most, -1), most = bound(bounds.most, bounds.least, 1);
  if (!least || !most || std::max(std::abs(*least), std::abs(*most)) > most_value / 1000) return std::nullopt;
  std::vector<ExpressionId> ways;
  const bool zero = *most > 0 || (*most == 0 && !bounds.most_open);
  if (zero && *least <= *most)
    ways.push_back(
        magnitude(std::max<std::int64_t>(*least, 0), *least >= 0 && bounds.least_open, *most, bounds.most_open, scale));
  if (*least < 0 && *least <= *most) {
    const bool from_zero = *most >= 0;
    ways.push_back(sequence({source_.text("-"), magnitude(from_zero ? 0 : -*most, from_zero || bounds.most_open, -*least,
                                                          bounds.least_open, scale)}));
  }
  return source_.choice(std::move(ways));
}

}  // namespace bitnet
