// Unicode character data (version 16.0): general category, white space, lower case, normalisation forms.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bitnet::unicode {

enum class Category : std::uint8_t {
  Cn,
  Lu,
  Ll,
  Lt,
  Lm,
  Lo,
  Mn,
  Mc,
  Me,
  Nd,
  Nl,
  No,
  Pc,
  Pd,
  Ps,
  Pe,
  Pi,
  Pf,
  Po,
  Sm,
  Sc,
  Sk,
  So,
  Zs,
  Zl,
  Zp,
  Cc,
  Cf,
  Cs,
  Co,
};

Category category(char32_t code);  // Cn for anything unassigned or above U+10FFFF

inline bool between(Category c, Category first, Category last) { return c >= first && c <= last; }
inline bool is_letter(char32_t code) { return between(category(code), Category::Lu, Category::Lo); }       // \p{L}
inline bool is_mark(char32_t code) { return between(category(code), Category::Mn, Category::Me); }         // \p{M}
inline bool is_number(char32_t code) { return between(category(code), Category::Nd, Category::No); }       // \p{N}
inline bool is_punctuation(char32_t code) { return between(category(code), Category::Pc, Category::Po); }  // \p{P}
inline bool is_symbol(char32_t code) { return between(category(code), Category::Sm, Category::So); }       // \p{S}
bool is_white_space(char32_t code);  // the White_Space property: \s of Unicode-aware regular expressions

// Full lower-case mapping without context or locale rules; appends one to three scalars as UTF-8.
void append_lower(std::string& out, char32_t code);

// Normalisation forms (UAX #15). Time linear in the text, up to the logarithm that sorting runs of combining marks costs.
// Broken UTF-8 is copied byte for byte.
std::string nfc(std::string_view text);
std::string nfd(std::string_view text);
std::string nfkc(std::string_view text);

}  // namespace bitnet::unicode
