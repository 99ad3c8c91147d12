// Origin: which server a URL belongs to, which URLs may be used at all, and where a redirect may lead.
#pragma once

#include <string>

struct sockaddr;

namespace bitnet::hub {

// Who can be reached at an address, from everybody's to this machine's own. `link` (169.254.0.0/16 and fe80::/10, where clouds
// keep their secrets, and what is no address of a host) is never reached by a redirect.
enum class Reach { everywhere, network, loopback, link };
Reach reach_of(const sockaddr* address);

// Scheme, host in lower case and port: what a secret may be shared with.
struct Origin {
  std::string scheme, host, port;
  std::string text() const { return scheme + "://" + host + (is_default_port() ? "" : ":" + port); }
  bool operator==(const Origin&) const = default;

 private:
  bool is_default_port() const { return port == (scheme == "https" ? "443" : "80"); }
};

// The origin of a URL that the user named. Throws Error{usage} unless it is https, or http to a loopback host or to `endpoint`
// (null: any http). A URL with a user name in it is refused.
Origin require_origin(const std::string& url, const Origin* endpoint);

// `location` as seen from `url`. Throws Error{io} when it makes no URL.
std::string redirected(const std::string& url, const std::string& location);

// The origin of `url`, which a server at `from` redirects to. Throws Error{io} for one that is not to be followed: from https
// to http, to http elsewhere than loopback or `endpoint`, or to a literal address less public than `widest`, unless it is
// `first`.
Origin require_redirect(const Origin& from, const std::string& url, const Origin& first, Reach widest, const Origin& endpoint);

}  // namespace bitnet::hub
