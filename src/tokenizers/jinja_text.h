// Python's operations on strings: positions and lengths count code points, white space and case are Unicode's.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizers/jinja_budget.h"

namespace bitnet::jinja {

bool is_space(char32_t code);  // str.isspace() of one character
std::u32string code_points(std::string_view text);
std::string from_code_points(std::u32string_view codes);
std::int64_t code_point_count(std::string_view text);

enum class Side : std::uint8_t { left, right, both };
std::string_view strip_space(std::string_view text, Side side = Side::both);
std::string_view strip(Budget& budget, std::string_view text, Side side, std::string_view characters);

// Byte positions, npos when absent; the work of comparing is paid for, so that no needle is quadratic for free.
std::size_t find(Budget& budget, std::string_view text, std::string_view needle, std::size_t from = 0);
std::size_t find_last(Budget& budget, std::string_view text, std::string_view needle);

// `limit` < 0: no limit. A separator must not be empty.
std::vector<std::string_view> split(Budget& budget, std::string_view text, std::string_view separator, std::int64_t limit);
std::vector<std::string_view> split_last(Budget& budget, std::string_view text, std::string_view separator, std::int64_t limit);
std::vector<std::string_view> split_space(std::string_view text, std::int64_t limit);
std::vector<std::string_view> split_space_last(std::string_view text, std::int64_t limit);
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);
std::string replace(Budget& budget, std::string_view text, std::string_view from, std::string_view to, std::int64_t limit);

std::string lower(std::string_view text);
std::string upper(std::string_view text);  // letters whose upper case is more than one letter (as of the German sharp s) stay
std::string capitalize(std::string_view text);   // the first letter upper, the others lower case
std::string title(std::string_view text);        // str.title()
std::string title_words(std::string_view text);  // the filter `title`: only space and ([{<- begin a word

enum class CharClass : std::uint8_t { alpha, digit, decimal, alnum, space };
bool all_are(std::string_view text, CharClass c);  // false for an empty text
bool is_lower(std::string_view text);
bool is_upper(std::string_view text);

// int() and float() of a text; nullopt when it is none, Error{usage} when the number does not fit 64 bits.
std::optional<std::int64_t> parse_integer(Budget& budget, std::string_view text);
std::optional<double> parse_real(Budget& budget, std::string_view text);

}  // namespace bitnet::jinja
