// Makes untrusted text safe for error messages.
#include "common/error.h"

#include <algorithm>

#include "common/utf8.h"

namespace bitnet {

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  const std::size_t end = std::min(text.size(), limit);
  for (std::size_t at = 0; at < end;) {
    const Utf8Char c = utf8_decode(text.substr(at));
    // C1 controls and bidirectional overrides can rewrite a terminal line as well as C0 can.
    const bool hidden = c.code < 0x20 || (c.code >= 0x7f && c.code < 0xa0) || (c.code >= 0x202a && c.code <= 0x202e) ||
                        (c.code >= 0x2066 && c.code <= 0x2069);
    if (c.valid && !hidden) {
      out.append(text.substr(at, c.size));
    } else {
      for (const char byte : text.substr(at, c.size)) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
    }
    at += c.size;
  }
  if (end < text.size()) out += "...";
  return out;
}

}  // namespace bitnet
