// Certificate and key of a server that speaks TLS.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

namespace bitnet::server {

struct TlsFiles {
  std::string certificate, key;  // PEM: the server's certificate and those that lead to its root; its private key

  bool given() const { return !certificate.empty() || !key.empty(); }
};

// TLS 1.2 and 1.3 with what is in the files. Throws Error{usage} naming the file when one is missing, cannot be read or does
// not fit the other.
std::shared_ptr<boost::asio::ssl::context> open_tls(const TlsFiles& files);

}  // namespace bitnet::server
