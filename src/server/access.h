// Who may ask: API keys, the Host header, other sites' pages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/http_server.h"

namespace bitnet::server {

class Access {
 public:
  Access(const std::vector<std::string>& keys, std::vector<std::string> origins, std::vector<std::string> hosts);

  // Instead of those before; none: everybody may ask.
  void set_keys(const std::vector<std::string>& keys);
  // The server listens on this machine alone: only the names of this machine and `hosts` are taken for it, so that a page
  // cannot reach it under a name that was pointed here (DNS rebinding). True until told otherwise.
  void set_loopback(bool loopback) { loopback_ = loopback; }

  // As "Authorization: Bearer KEY" or "x-api-key: KEY". Takes the same time for every wrong key.
  bool has_key(const HttpRequest& request) const;
  bool host_allowed(const HttpRequest& request) const;
  bool origin_allowed(std::string_view origin) const;
  bool asks_keys() const { return !digests_.empty(); }

 private:
  std::vector<std::string> digests_;  // SHA-256 of the keys, in hexadecimal digits
  std::vector<std::string> origins_, hosts_;
  bool loopback_ = true;
};

}  // namespace bitnet::server
