// Takes URLs apart with libcurl, so that what is checked is what is connected to.
#include "models/hub/origin.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>

#include "common/error.h"

namespace bitnet::hub {
namespace {

constexpr std::size_t max_url = 8192;

struct UrlCloser {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, UrlCloser>;

Url new_url() {
  Url url(curl_url());
  if (!url) throw std::bad_alloc();
  return url;
}

std::string part(const Url& url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url.get(), which, &text, flags) != CURLUE_OK) return "";
  const std::string copy(text);
  curl_free(text);
  return copy;
}

std::optional<Origin> parse(const std::string& text) {
  if (text.size() > max_url) return std::nullopt;
  const Url url = new_url();
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), CURLU_DISALLOW_USER) != CURLUE_OK) return std::nullopt;
  Origin origin{part(url, CURLUPART_SCHEME), part(url, CURLUPART_HOST), part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT)};
  for (char& c : origin.host) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  if (origin.host.empty() || (origin.scheme != "https" && origin.scheme != "http")) return std::nullopt;
  return origin;
}

Reach reach_of_v4(std::uint32_t address) {
  const auto in = [&](std::uint32_t network, int bits) { return address >> (32 - bits) == network >> (32 - bits); };
  if (in(0x7f000000, 8)) return Reach::loopback;
  if (in(0xa9fe0000, 16) || in(0x00000000, 8) || in(0xe0000000, 3)) return Reach::link;
  if (in(0x0a000000, 8) || in(0xac100000, 12) || in(0xc0a80000, 16) || in(0x64400000, 10)) return Reach::network;
  return Reach::everywhere;
}

Reach reach_of_v6(const in6_addr& address) {
  if (IN6_IS_ADDR_LOOPBACK(&address)) return Reach::loopback;
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    std::uint32_t v4;
    std::memcpy(&v4, address.s6_addr + 12, 4);
    return reach_of_v4(ntohl(v4));
  }
  if (IN6_IS_ADDR_LINKLOCAL(&address) || IN6_IS_ADDR_UNSPECIFIED(&address) || IN6_IS_ADDR_MULTICAST(&address))
    return Reach::link;
  if ((address.s6_addr[0] & 0xfe) == 0xfc) return Reach::network;
  return Reach::everywhere;
}

// The reach of a host that is written as an address, or is the name everybody gives to this machine.
std::optional<Reach> literal_reach(std::string host) {
  if (host == "localhost" || host.ends_with(".localhost")) return Reach::loopback;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  in_addr v4 = {};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return reach_of_v4(ntohl(v4.s_addr));
  in6_addr v6 = {};
  if (inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), &v6) == 1) return reach_of_v6(v6);
  return std::nullopt;
}

}  // namespace

Reach reach_of(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, address, sizeof v4);
    return reach_of_v4(ntohl(v4.sin_addr.s_addr));
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, address, sizeof v6);
    return reach_of_v6(v6.sin6_addr);
  }
  return Reach::link;
}

Origin require_origin(const std::string& url, const Origin* endpoint) {
  const auto origin = parse(url);
  if (!origin) fail(ErrorKind::usage, "'{}' is no https URL without a user name", printable(url, 256));
  if (origin->scheme == "http" && endpoint != nullptr && *origin != *endpoint &&
      literal_reach(origin->host) != Reach::loopback) {
    fail(ErrorKind::usage, "'{}': only https is used, and http for loopback addresses or what HF_ENDPOINT names",
         printable(url, 256));
  }
  return *origin;
}

std::string redirected(const std::string& url, const std::string& location) {
  const Url base = new_url();
  const bool fits = location.size() <= max_url && curl_url_set(base.get(), CURLUPART_URL, url.c_str(), 0) == CURLUE_OK &&
                    curl_url_set(base.get(), CURLUPART_URL, location.c_str(), CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK;
  const std::string target = fits ? part(base, CURLUPART_URL) : "";
  if (target.empty()) fail(ErrorKind::io, "a redirect leads to '{}', which is no URL", printable(location, 128));
  return target;
}

Origin require_redirect(const Origin& from, const std::string& url, const Origin& first, Reach widest, const Origin& endpoint) {
  const auto origin = parse(url);
  if (!origin)
    fail(ErrorKind::io, "{}: redirects to '{}', which is no http or https URL, refused", from.text(), printable(url, 128));
  if (*origin == first) return *origin;
  const auto literal = literal_reach(origin->host);
  const bool http_allowed = from.scheme == "http" && (literal == Reach::loopback || *origin == endpoint);
  if (origin->scheme == "http" && !http_allowed) {
    fail(ErrorKind::io, "{}: redirects to '{}', which is not encrypted, refused", from.text(), printable(url, 128));
  }
  if (literal && (*literal == Reach::link || *literal > widest)) {
    fail(ErrorKind::io, "{}: redirects to '{}', an address inside this machine or network, refused", from.text(),
         printable(url, 128));
  }
  return *origin;
}

}  // namespace bitnet::hub
