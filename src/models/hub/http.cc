// The HTTP client on libcurl: redirects are followed here, not there, so that each hop is looked at.
#include "models/hub/http.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <exception>
#include <mutex>

#include "models/hub/origin.h"

namespace bitnet::hub {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t max_headers = 64 << 10, max_error_body = 64 << 10;
constexpr int max_redirects = 5;
constexpr double min_speed = 1024;  // bytes per second, on average over the stall time
constexpr long buffer_size = 256 << 10;

void initialise_once() {
  static std::once_flag flag;
  std::call_once(flag, [] {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) fail(ErrorKind::runtime, "libcurl cannot be initialised");
  });
}

bool is_redirect(int status) { return status == 301 || status == 302 || status == 303 || status == 307 || status == 308; }

// What one hop of a request needs while libcurl calls back.
struct Transfer {
  const Request& request;
  const HttpClient::Sink& sink;
  const std::atomic<bool>* cancel;
  double stall_seconds;
  Reach widest;  // addresses less public than this are refused
  bool first_hop;

  Response response = {};
  std::size_t header_bytes = 0, error_bytes = 0;
  bool has_body = false, cut = false, stalled = false, connected = false;
  std::optional<Reach> reached = {};
  bool refused_address = false;
  std::exception_ptr thrown = {};
  std::uint64_t window_bytes = 0, bytes = 0;
  Clock::time_point window_start = Clock::now();
};

std::string trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r' || text.back() == '\n')) {
    text.remove_suffix(1);
  }
  return std::string(text);
}

std::size_t on_header(char* data, std::size_t, std::size_t size, void* user) {
  auto& t = *static_cast<Transfer*>(user);
  const std::string_view line(data, size);
  t.connected = true;
  t.header_bytes += size;
  if (t.header_bytes > max_headers) return 0;
  if (t.has_body) return size;  // trailers
  if (line.starts_with("HTTP/")) {
    t.response.headers.clear();  // an interim answer came before
    const std::size_t space = line.find(' ');
    t.response.status = space == std::string_view::npos ? 0 : std::atoi(std::string(line.substr(space + 1)).c_str());
  } else if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
    std::string name = trimmed(line.substr(0, colon));
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    t.response.headers.emplace(std::move(name), trimmed(line.substr(colon + 1)));
  }
  return size;
}

std::size_t on_body(char* data, std::size_t, std::size_t size, void* user) {
  auto& t = *static_cast<Transfer*>(user);
  t.has_body = true;
  t.bytes += size;
  if (t.response.status / 100 != 2) {
    t.error_bytes += size;
    t.cut = t.error_bytes > max_error_body;
    return t.cut ? 0 : size;
  }
  try {
    t.sink(t.response, std::as_bytes(std::span(data, size)));
    return size;
  } catch (...) {
    t.thrown = std::current_exception();
    return 0;
  }
}

// Returns other than 0 to end the transfer. libcurl calls this at least once a second.
int on_tick(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& t = *static_cast<Transfer*>(user);
  if (t.cancel != nullptr && *t.cancel) return 1;
  const double seconds = std::chrono::duration<double>(Clock::now() - t.window_start).count();
  if (seconds < t.stall_seconds) return 0;
  t.stalled = static_cast<double>(t.bytes - t.window_bytes) < min_speed * seconds;
  t.window_start = Clock::now();
  t.window_bytes = t.bytes;
  return t.stalled ? 1 : 0;
}

curl_socket_t on_socket(void* user, curlsocktype, curl_sockaddr* address) {
  auto& t = *static_cast<Transfer*>(user);
  const Reach reach = reach_of(&address->addr);
  if (!t.first_hop && (reach == Reach::link || reach > t.widest)) {
    t.refused_address = true;
    return CURL_SOCKET_BAD;
  }
  if (!t.reached || reach > *t.reached) t.reached = reach;
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

struct HeaderList {
  curl_slist* list = nullptr;
  ~HeaderList() { curl_slist_free_all(list); }
  void add(const std::string& line) {
    curl_slist* longer = curl_slist_append(list, line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    list = longer;
  }
};

HeaderList request_headers(const Request& request, const std::string& token) {
  HeaderList headers;
  headers.add("Accept-Encoding: identity");
  if (!token.empty()) headers.add("Authorization: Bearer " + token);
  if (request.from > 0 || request.last) {
    headers.add(fmt::format("Range: bytes={}-{}", request.from, request.last ? std::to_string(*request.last) : ""));
    if (!request.if_range.empty()) headers.add("If-Range: " + request.if_range);
  }
  return headers;
}

// What the hub says of a file on the way to it goes before what the server says that has it.
void keep_hub_headers(const Response& response, std::map<std::string, std::string>& kept) {
  for (const char* name : {"x-repo-commit", "x-linked-etag", "x-linked-size"}) {
    if (const std::string value = response.header(name); !value.empty()) kept[name] = value;
  }
}

// Failures of the connection itself and of what it carries; a certificate that does not fit stays as it is.
bool may_pass(CURLcode code) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_OUT_OF_MEMORY:
      return false;
    default:
      return true;
  }
}

}  // namespace

struct HttpClient::Handle {
  const Settings& settings;
  const std::atomic<bool>* cancel;
  Origin endpoint;
  CURL* curl;
  std::map<std::string, Reach> reaches = {};  // by origin: connections are kept, so that not every request opens one
  char message[CURL_ERROR_SIZE] = {};

  void set_up(Transfer& transfer, const HeaderList& headers);
  CURLcode perform(Transfer& transfer, const std::string& token);
  Response hop(const Request& request, const Sink& sink, const Origin& origin, std::optional<Reach> widest);
};

HttpClient::HttpClient(const Settings& settings, const std::atomic<bool>* cancel) {
  initialise_once();
  CURL* curl = curl_easy_init();
  if (curl == nullptr) throw std::bad_alloc();
  handle_.reset(new Handle{settings, cancel, {}, curl});
  handle_->endpoint = require_origin(settings.endpoint, nullptr);
}

bool have_downloads() { return true; }

HttpClient::~HttpClient() {
  if (handle_) curl_easy_cleanup(handle_->curl);
}

void HttpClient::Handle::set_up(Transfer& transfer, const HeaderList& headers) {
  const auto set = [&](auto option, auto value) { curl_easy_setopt(curl, option, value); };
  curl_easy_reset(curl);  // keeps connections
  set(CURLOPT_URL, transfer.response.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_NOBODY, transfer.request.head ? 1L : 0L);
  set(CURLOPT_HTTPHEADER, headers.list);
  set(CURLOPT_USERAGENT, "bitnet");
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_HTTP_CONTENT_DECODING, 0L);
  set(CURLOPT_BUFFERSIZE, buffer_size);
  set(CURLOPT_ERRORBUFFER, message);
  set(CURLOPT_HEADERFUNCTION, on_header);
  set(CURLOPT_HEADERDATA, &transfer);
  set(CURLOPT_WRITEFUNCTION, on_body);
  set(CURLOPT_WRITEDATA, &transfer);
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFOFUNCTION, on_tick);
  set(CURLOPT_XFERINFODATA, &transfer);
  set(CURLOPT_OPENSOCKETFUNCTION, on_socket);
  set(CURLOPT_OPENSOCKETDATA, &transfer);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(settings.stall_seconds * 1000));
  if (transfer.request.limit_seconds > 0) set(CURLOPT_TIMEOUT_MS, static_cast<long>(transfer.request.limit_seconds * 1000));
  if (!settings.ca_file.empty()) set(CURLOPT_CAINFO, settings.ca_file.c_str());
  if (!settings.ca_folder.empty()) set(CURLOPT_CAPATH, settings.ca_folder.c_str());
}

CURLcode HttpClient::Handle::perform(Transfer& transfer, const std::string& token) {
  const HeaderList headers = request_headers(transfer.request, token);
  set_up(transfer, headers);
  message[0] = '\0';
  const CURLcode code = curl_easy_perform(curl);
  curl_easy_reset(curl);  // nothing may point to `transfer` once it is gone
  return code;
}

// One request and its answer, a redirect being one too. `widest` is absent for the first hop, which the user asked for.
Response HttpClient::Handle::hop(const Request& request, const Sink& sink, const Origin& origin, std::optional<Reach> widest) {
  Transfer t{request, sink, cancel, settings.stall_seconds, widest.value_or(Reach::loopback), !widest.has_value()};
  t.response.url = request.url;
  const CURLcode code = perform(t, origin == endpoint ? settings.token : "");
  if (t.reached) reaches[origin.text()] = *t.reached;
  if (t.thrown) std::rethrow_exception(t.thrown);
  if (code == CURLE_OK || t.cut) return std::move(t.response);
  const std::string place = origin.text();
  if (cancel != nullptr && *cancel) fail(ErrorKind::cancelled, "interrupted");
  if (t.header_bytes > max_headers) fail(ErrorKind::io, "{}: sends more than {} bytes of headers", place, max_headers);
  if (t.refused_address)
    fail(ErrorKind::io, "{}: a redirect leads to an address inside this machine or network, refused", place);
  if (t.stalled || code == CURLE_OPERATION_TIMEDOUT) {
    throw TransientError(
        fmt::format("{}: no answer, or less than {} bytes per second, for {:.0f} s", place, min_speed, settings.stall_seconds),
        t.connected);
  }
  const std::string fact = printable(message[0] != '\0' ? message : curl_easy_strerror(code), 256);
  if (!may_pass(code)) fail(ErrorKind::io, "{}: {}", place, fact);
  throw TransientError(fmt::format("{}: {}", place, fact), t.connected);
}

Response HttpClient::send(const Request& request, const Sink& sink) {
  Request hop = request;
  Origin origin = require_origin(hop.url, &handle_->endpoint);
  const Origin first = origin;
  std::optional<Reach> widest;
  std::map<std::string, std::string> said_by_hub;
  for (int redirects = 0;; ++redirects) {
    Response response = handle_->hop(hop, sink, origin, origin == first ? std::nullopt : widest);
    if (origin == handle_->endpoint) keep_hub_headers(response, said_by_hub);
    const std::string location = response.header("location");
    const bool tells_all = !response.header("x-linked-etag").empty() && !response.header("x-linked-size").empty();
    if (!is_redirect(response.status) || location.empty() || (request.stop_at_link && tells_all)) {
      for (const auto& [name, value] : said_by_hub) response.headers[name] = value;
      return response;
    }
    if (redirects == max_redirects) fail(ErrorKind::io, "{}: more than {} redirects", first.text(), max_redirects);
    const auto known = handle_->reaches.find(first.text());
    widest = known != handle_->reaches.end() ? known->second : Reach::everywhere;
    hop.url = redirected(response.url, location);
    origin = require_redirect(origin, hop.url, first, *widest, handle_->endpoint);
  }
}

}  // namespace bitnet::hub
