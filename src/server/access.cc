// Checks of keys, hosts and origins.
#include "server/access.h"

#include <algorithm>

#include "common/sha256.h"

namespace bitnet::server {
namespace {

std::string digest(std::string_view key) {
  Sha256 hash;
  hash.update(key);
  return hash.hex();
}

// Compares all of it, whatever differs first.
bool same(std::string_view a, std::string_view b) {
  unsigned differing = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i)
    differing |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return differing == 0;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Whatever the case of ASCII letters.
bool equal_letters(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view without_port(std::string_view host) {
  if (!host.starts_with('[')) return host.substr(0, host.find(':'));
  const std::size_t end = host.find(']');
  return end == std::string_view::npos ? host : host.substr(0, end + 1);
}

}  // namespace

Access::Access(const std::vector<std::string>& keys, std::vector<std::string> origins, std::vector<std::string> hosts)
    : origins_(std::move(origins)), hosts_(std::move(hosts)) {
  set_keys(keys);
}

void Access::set_keys(const std::vector<std::string>& keys) {
  digests_.clear();
  for (const std::string& key : keys) digests_.push_back(digest(key));
}

bool Access::has_key(const HttpRequest& request) const {
  if (digests_.empty()) return true;
  std::string_view key;
  if (const std::string* header = request.header("x-api-key")) key = *header;
  if (const std::string* header = request.header("authorization")) {
    static constexpr std::string_view scheme = "bearer ";
    const std::string_view value = *header;
    if (value.size() > scheme.size() && equal_letters(value.substr(0, scheme.size()), scheme))
      key = value.substr(scheme.size());
  }
  const std::string asked = digest(key);
  bool found = false;
  for (const std::string& known : digests_) found |= same(asked, known);
  return found;
}

bool Access::host_allowed(const HttpRequest& request) const {
  if (!loopback_ || request.peer == "unix") return true;
  const std::string* header = request.header("host");
  const std::string_view host = header == nullptr ? "" : without_port(*header);
  static constexpr std::string_view own[] = {"localhost", "127.0.0.1", "[::1]", ""};
  const auto is = [&](std::string_view name) { return equal_letters(name, host) || name == "*"; };
  return std::any_of(std::begin(own), std::end(own), is) || std::any_of(hosts_.begin(), hosts_.end(), is);
}

bool Access::origin_allowed(std::string_view origin) const {
  return std::any_of(origins_.begin(), origins_.end(),
                     [&](const std::string& allowed) { return allowed == "*" || allowed == origin; });
}

}  // namespace bitnet::server
