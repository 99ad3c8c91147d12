// HttpClient: one request at a time over HTTPS, with the bounds that a server which means harm has to meet.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "common/error.h"
#include "models/hub/settings.h"

namespace bitnet::hub {

// A failure that the next attempt may not meet: the connection broke or stalled, or the server is busy.
class TransientError : public Error {
 public:
  TransientError(const std::string& message, bool connected, double retry_after = 0)
      : Error(ErrorKind::io, message), connected_(connected), retry_after_(retry_after) {}
  bool connected() const { return connected_; }        // false: the server was never reached
  double retry_after() const { return retry_after_; }  // seconds the server asks to wait; 0 = it does not say

 private:
  bool connected_;
  double retry_after_;
};

struct Request {
  std::string url;
  bool head = false;                  // only the headers
  bool stop_at_link = false;          // a redirect that tells what it leads to (X-Linked-Etag, -Size) is the answer
  std::uint64_t from = 0;             // leave out so many bytes of the body
  std::optional<std::uint64_t> last;  // and end with this one
  std::string if_range;               // an ETag as the server wrote it: `from` holds only while it is the same
  double limit_seconds = 0;           // for the whole request; 0 = as long as it does not stall
};

struct Response {
  int status = 0;
  std::string url;                             // that answered, after redirects
  std::map<std::string, std::string> headers;  // names in lower case, blanks around values removed; the first of each name
  std::string header(const std::string& name) const;
};

// Speaks http and https only. Plain http is for loopback addresses and for the endpoint that HF_ENDPOINT names. Follows at most
// five redirects: never from https to http, and never to an address less public than where it began. The token goes to the
// endpoint's own origin (scheme, host, port) and nowhere else. Headers may have 64 KiB. No compression is asked for, none
// undone. Not thread safe; one client per thread.
class HttpClient {
 public:
  // `cancel` may be null; when it turns true, requests end with Error{cancelled} within a second or two. Both must outlive the
  // client. Throws Error{unsupported} in a build without downloads.
  HttpClient(const Settings& settings, const std::atomic<bool>* cancel);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Gets the body of a 2xx answer piece by piece; what it throws ends the request and comes out of send().
  using Sink = std::function<void(const Response& response, std::span<const std::byte> bytes)>;

  // Any status is returned, after redirects; X-Repo-Commit, X-Linked-Etag and X-Linked-Size stay as the endpoint said them.
  // Throws TransientError, Error{io} for what no second attempt mends, Error{usage} for a URL that may not be used,
  // Error{cancelled}.
  Response send(const Request& request, const Sink& sink);

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

// True when this build can download.
bool have_downloads();

// Throws TransientError for the statuses that say "later": 408, 425, 429, 5xx. `what` names the request.
void check_not_busy(const Response& response, const std::string& what);

// `text` as one segment of a URL's path, everything but letters, digits and -._~ as %XX; '/' stays when `keep_slash`.
std::string url_escaped(std::string_view text, bool keep_slash);

}  // namespace bitnet::hub
