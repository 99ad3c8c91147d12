// Reads requests one after the other, each part within its time and size.
#include "server/http_connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>

#include "common/error.h"

namespace bitnet::server::http_detail {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

HttpRequest head_of(const http::request_header<>& header, const std::string& peer) {
  HttpRequest request;
  request.method = std::string(header.method_string());
  request.target = std::string(header.target());
  request.path = request.target.substr(0, request.target.find('?'));
  request.peer = peer;
  request.arrived = std::chrono::steady_clock::now();
  for (const auto& field : header) request.headers.emplace_back(lower(field.name_string()), std::string(field.value()));
  return request;
}

// What a reading error is to the client; 0: it left, or there is nobody to tell.
int status_of(const error_code& error, bool in_body) {
  if (error == http::error::end_of_stream || error == asio::error::eof || error == asio::error::connection_reset) return 0;
  if (error == beast::error::timeout) return 408;
  if (error == http::error::header_limit) return 431;
  if (error == http::error::body_limit) return 413;
  if (error == http::error::partial_message) return 0;
  return error.category() == http::make_error_code(http::error::bad_method).category() ? 400 : (in_body ? 400 : 0);
}

std::string reason(const error_code& error, const char* what) {
  if (error == beast::error::timeout) return fmt::format("the {} did not come in time", what);
  return fmt::format("the {} cannot be read: {}", what, error.message());
}

// Holds a counter up by one.
class Counted {
 public:
  explicit Counted(std::int64_t& counter) : counter_(counter) { ++counter_; }
  ~Counted() { --counter_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  std::int64_t& counter_;
};

// Ends what is being read when the time is over. Unlike the stream's own limit it leaves the socket open, so that the client
// can still be told.
class Deadline {
 public:
  Deadline(Transport& stream, std::chrono::seconds time) : timer_(stream.get_executor(), time) {
    stream.expires_never();
    timer_.async_wait([passed = passed_, &stream](error_code error) {
      if (!error && !*passed) *passed = true, stream.cancel();
    });
  }
  ~Deadline() { timer_.cancel(), *passed_ = true; }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  bool passed() const { return *passed_; }

 private:
  asio::steady_timer timer_;
  std::shared_ptr<bool> passed_ = std::make_shared<bool>(false);
};

bool is_number(const std::string& text) { return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos; }

}  // namespace

Connection::Connection(std::shared_ptr<State> state, Socket socket, std::string peer, bool secure)
    : state_(std::move(state)), stream_(std::move(socket), secure ? state_->tls : nullptr), peer_(std::move(peer)) {
  ++state_->connections, ++state_->by_address[peer_];
}

Connection::~Connection() {
  --state_->connections;
  if (--state_->by_address[peer_] == 0) state_->by_address.erase(peer_);
}

asio::awaitable<void> Connection::run() {
  stream_.expires_after(state_->limits.header_time);
  if (!co_await stream_.open()) co_return;
  for (std::int64_t served = 0; served < state_->limits.requests_per_connection; ++served) {
    if (!co_await serve_one(served + 1 == state_->limits.requests_per_connection)) break;
  }
  const Counted busy(state_->busy);
  co_await stream_.finish();
}

asio::awaitable<void> Connection::refuse(int status, const std::string& message) {
  HttpRequest unread;
  unread.peer = peer_, unread.arrived = std::chrono::steady_clock::now();
  HttpResponse answer = state_->refusal(unread, status, message);
  Exchange exchange(stream_, *state_, std::move(unread), 11, false);
  co_await exchange.respond(std::move(answer));
}

// False when none came within the time, or the server ends.
asio::awaitable<bool> Connection::wait_for_request() {
  if (buffer_.size() > 0) co_return true;
  error_code error;
  stream_.expires_after(state_->limits.idle_time);
  const std::size_t got = co_await stream_.async_read_some(buffer_.prepare(4096), asio::redirect_error(use_awaitable, error));
  if (!error) buffer_.commit(got);
  co_return !error;
}

asio::awaitable<bool> Connection::serve_one(bool last) {
  Parser parser;
  parser.header_limit(state_->limits.header_bytes);
  parser.body_limit(state_->limits.body_bytes);
  if (!co_await wait_for_request()) co_return false;
  error_code error;
  {
    const Deadline deadline(stream_, state_->limits.header_time);
    co_await http::async_read_header(stream_, buffer_, parser, asio::redirect_error(use_awaitable, error));
    if (deadline.passed()) error = beast::error::timeout;
  }
  const Counted busy(state_->busy);
  if (error) {
    if (const int status = status_of(error, false)) co_await refuse(status, reason(error, "request"));
    co_return false;
  }
  HttpRequest request = head_of(parser.get().base(), peer_);
  const bool keep_alive = parser.get().keep_alive() && !last;
  const unsigned version = parser.get().version();
  if (const auto refused = check(request, parser)) {
    co_await refuse(refused->first, refused->second);
    co_return false;
  }
  if (auto answer = state_->gate(request)) {
    const bool unread = !parser.is_done();
    Exchange exchange(stream_, *state_, std::move(request), version, keep_alive && !unread);
    co_await exchange.respond(std::move(*answer));
    co_return exchange.keep_alive();
  }
  if (!co_await read_body(parser, request)) co_return false;
  stream_.expires_never();
  Exchange exchange(stream_, *state_, std::move(request), version, keep_alive);
  co_await state_->handler(exchange);
  co_return exchange.keep_alive();
}

std::optional<std::pair<int, std::string>> Connection::check(const HttpRequest& request, const Parser& parser) const {
  const HttpLimits& limits = state_->limits;
  if (request.target.size() > limits.target_bytes)
    return {{414, fmt::format("the request target is longer than {} bytes", limits.target_bytes)}};
  if (request.target.empty() || request.target.front() != '/') return {{400, "the request target is not a path"}};
  if (request.headers.size() > limits.headers) return {{431, fmt::format("there are more than {} headers", limits.headers)}};
  const auto count = [&](std::string_view name) {
    return std::count_if(request.headers.begin(), request.headers.end(), [&](const auto& h) { return h.first == name; });
  };
  if (parser.get().version() >= 11 && count("host") != 1) return {{400, "there must be exactly one Host header"}};
  if (count("content-length") > 1) return {{400, "there is more than one Content-Length"}};
  if (count("content-length") > 0 && count("transfer-encoding") > 0)
    return {{400, "Content-Length and Transfer-Encoding exclude each other"}};
  if (const std::string* size = request.header("content-length"); size != nullptr && !is_number(*size))
    return {{400, "the Content-Length is no number"}};
  if (request.header("content-encoding") != nullptr) return {{415, "encoded bodies are not accepted"}};
  const auto length = parser.content_length();
  if (length && *length > limits.body_bytes)
    return {{413, fmt::format("the body has {} bytes, at most {} are allowed", *length, limits.body_bytes)}};
  return std::nullopt;
}

asio::awaitable<bool> Connection::read_body(Parser& parser, HttpRequest& request) {
  error_code error;
  if (parser.is_done()) co_return true;
  if (const std::string* expect = request.header("expect"); expect != nullptr && lower(*expect) == "100-continue") {
    static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    stream_.expires_after(state_->limits.write_time);
    co_await asio::async_write(stream_, asio::buffer(go_on), use_awaitable);
  }
  {
    const Deadline deadline(stream_, state_->limits.body_time);
    co_await http::async_read(stream_, buffer_, parser, asio::redirect_error(use_awaitable, error));
    if (deadline.passed()) error = beast::error::timeout;
  }
  if (error) {
    const int status = status_of(error, true);
    if (status == 413) {
      co_await refuse(413, fmt::format("the body has more than {} bytes", state_->limits.body_bytes));
    } else if (status != 0) {
      co_await refuse(status, reason(error, "body"));
    }
    co_return false;
  }
  request.body = std::move(parser.get().body());
  co_return true;
}

}  // namespace bitnet::server::http_detail
