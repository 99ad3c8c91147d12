// UTF-8, one character at a time: decode with the Unicode standard's rule for broken input, and encode.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bitnet {

struct Utf8Char {
  char32_t code;      // U+FFFD when not valid
  std::uint8_t size;  // bytes consumed, at least 1; for broken input the length of the maximal subpart (Unicode 15, 3.9 D93b)
  bool valid;
  bool truncated;  // broken only because the text ends too early: more bytes could complete it
};

// Decodes the first character of a non-empty text. Surrogates, overlong forms and codes above U+10FFFF are not valid.
inline Utf8Char utf8_decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, true, false};
  int length = 0;
  std::uint8_t low = 0x80, high = 0xbf;  // allowed range of the second byte (table 3-7)
  char32_t code = 0;
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2, code = lead & 0x1f;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3, code = lead & 0x0f;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4, code = lead & 0x07;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
  } else {
    return {0xfffd, 1, false, false};
  }
  for (int i = 1; i < length; ++i) {
    if (static_cast<std::size_t>(i) == text.size()) return {0xfffd, static_cast<std::uint8_t>(i), false, true};
    const std::uint8_t next = byte(static_cast<std::size_t>(i));
    if (next < low || next > high) return {0xfffd, static_cast<std::uint8_t>(i), false, false};
    code = code << 6 | (next & 0x3f);
    low = 0x80, high = 0xbf;
  }
  return {code, static_cast<std::uint8_t>(length), true, false};
}

// Appends the UTF-8 form of a scalar value.
inline void utf8_append(std::string& out, char32_t code) {
  const auto put = [&](char32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6), put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12), put(0x80 | (code >> 6 & 0x3f)), put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18), put(0x80 | (code >> 12 & 0x3f)), put(0x80 | (code >> 6 & 0x3f)), put(0x80 | (code & 0x3f));
  }
}

inline bool utf8_valid(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char c = utf8_decode(text);
    if (!c.valid) return false;
    text.remove_prefix(c.size);
  }
  return true;
}

}  // namespace bitnet
