// What requests need with and without libcurl: headers, statuses that say "later", escaping.
#include <algorithm>
#include <cctype>
#include <charconv>

#include "models/hub/http.h"

namespace bitnet::hub {

std::string Response::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

void check_not_busy(const Response& response, const std::string& what) {
  const int status = response.status;
  if (status != 408 && status != 425 && status != 429 && status / 100 != 5) return;
  double seconds = 0;
  const std::string text = response.header("retry-after");
  std::uint32_t number = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), number).ec == std::errc()) seconds = number;
  throw TransientError(fmt::format("{}: the server answers with status {}", what, status), true, seconds);
}

std::string url_escaped(std::string_view text, bool keep_slash) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte < 0x80 && (std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '_' || c == '~');
    if (plain || (keep_slash && c == '/')) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", byte);
    }
  }
  return out;
}

}  // namespace bitnet::hub
