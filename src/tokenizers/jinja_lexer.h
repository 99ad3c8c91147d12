// Cuts a template into text and the tokens inside {{ }} and {% %}.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/error.h"

namespace bitnet::jinja {

enum class TokenKind : std::uint8_t {
  text,
  output_begin,
  output_end,
  block_begin,
  block_end,
  name,
  integer,
  real,
  string,
  symbol,
  end
};

struct Token {
  TokenKind kind;
  std::string text;  // of a string: with its escapes resolved
  int line;
};

// With trim_blocks and lstrip_blocks, as transformers runs templates: the newline behind a block goes, and so does white space
// between the start of a line and a block. The last token is `end`. Throws Error{bad_model} with the line.
std::vector<Token> tokenize(std::string_view source);

template <class... Args>
[[noreturn]] void syntax_error(int line, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ErrorKind::bad_model,
              fmt::format("chat template: line {}: {}", line, fmt::format(format, std::forward<Args>(args)...)));
}

}  // namespace bitnet::jinja
