// Decoding ids as they come, never splitting a UTF-8 character.
#include <utility>

#include "common/utf8.h"
#include "tokenizers/tokenizer.h"

namespace bitnet {

std::string StreamDecoder::put(TokenId id) {
  std::string piece = tokenizer_.piece(id, special_);
  if (!started_ && !piece.empty()) {
    const LeadingSpace rule = tokenizer_.leading_space();
    // The space that a sign for unknown text brings along is its own.
    const bool marked = piece[0] == ' ' && tokenizer_.kind(id) != TokenKind::unknown;
    if (rule != LeadingSpace::keep && marked) piece.erase(0, 1);
    started_ = rule != LeadingSpace::drop_all || !piece.empty();
  }
  held_ += piece;
  return complete(false);
}

std::string StreamDecoder::finish() {
  started_ = false;
  return complete(true);
}

// Takes whole characters off what is held; a beginning that could still become one stays unless this is the end.
std::string StreamDecoder::complete(bool last) {
  std::string out;
  std::string_view rest = held_;
  while (!rest.empty()) {
    const Utf8Char c = utf8_decode(rest);
    if (c.truncated && !last) break;
    if (c.valid) {
      out += rest.substr(0, c.size);
    } else {
      utf8_append(out, 0xfffd);
    }
    rest.remove_prefix(c.size);
  }
  held_ = std::string(rest);
  return out;
}

}  // namespace bitnet
