// Cuts a template into text and the tokens between {{ }}, {% %}.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bitnet::jinja {

enum class TokenType : std::uint8_t {
  text,
  output_begin,
  output_end,
  block_begin,
  block_end,
  name,
  integer,
  real,
  string,
  op,
  end
};

struct Token {
  TokenType type;
  std::string text;  // strings with their escapes resolved
  int line;
};

// With trim_blocks and lstrip_blocks, as transformers runs templates: a newline behind a block goes, and so does the white
// space between the start of a line and a block. Throws Error{bad_model} "chat template: line N: FACT".
std::vector<Token> tokenize(std::string_view source);

[[noreturn]] void syntax_error(int line, const std::string& fact);

}  // namespace bitnet::jinja
