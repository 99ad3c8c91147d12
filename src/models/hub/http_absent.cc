// Stands in for the HTTP client in a build without libcurl: models are found, listed and removed, not downloaded.
#include "models/hub/http.h"

namespace bitnet::hub {

struct HttpClient::Handle {};

HttpClient::HttpClient(const Settings&, const std::atomic<bool>*) {
  fail(ErrorKind::unsupported,
       "this build has no downloads: it was made without libcurl (libcurl4-openssl-dev, -DBITNET_HUB=ON)");
}
HttpClient::~HttpClient() = default;

Response HttpClient::send(const Request&, const Sink&) { fail(ErrorKind::unsupported, "this build has no downloads"); }

bool have_downloads() { return false; }

}  // namespace bitnet::hub
