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
  Deadline(Transport& stream, std::chrono::steady_clock::duration time) : timer_(stream.get_executor(), time) {
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

// Finds header lines that go on in the next one, which a parser joins and others read in their own ways (RFC 9112, 5.2).
class FoldFinder {
 public:
  // Of the header's next bytes; true once a line began with a blank.
  bool put(std::string_view bytes) {
    for (const char c : bytes) {
      found_ |= line_begins_ && (c == ' ' || c == '\t');
      line_begins_ = c == '\n';
    }
    return found_;
  }

 private:
  bool line_begins_ = false, found_ = false;
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
    if (!co_await serve_one(served == 0, served + 1 == state_->limits.requests_per_connection)) break;
  }
  const Counted busy(state_->busy);
  co_await stream_.finish();
}

asio::awaitable<void> Connection::turn_away(int status, const std::string& message) {
  co_await refuse(status, message);
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
asio::awaitable<bool> Connection::wait_for_request(bool first) {
  if (buffer_.size() > 0) co_return true;
  error_code error;
  stream_.expires_after(first ? state_->limits.header_time : state_->limits.idle_time);
  const std::size_t got = co_await stream_.async_read_some(buffer_.prepare(4096), asio::redirect_error(use_awaitable, error));
  if (!error) buffer_.commit(got);
  co_return !error;
}

asio::awaitable<std::optional<Connection::Refusal>> Connection::read_header(Parser& parser) {
  FoldFinder folds;
  error_code error;
  const Deadline deadline(stream_, state_->limits.header_time);
  while (true) {
    const auto bytes = buffer_.data();
    const std::size_t taken = parser.put(bytes, error);
    const bool folded = folds.put({static_cast<const char*>(bytes.data()), taken});
    buffer_.consume(taken);
    if (folded) co_return Refusal{400, "the request cannot be read: a header goes on in a second line"};
    if (parser.is_header_done()) co_return std::nullopt;
    if (error == http::error::header_limit && parser.get().target().empty())
      co_return Refusal{414, fmt::format("the request target is longer than {} bytes", state_->limits.target_bytes)};
    if (error && error != http::error::need_more) break;
    const std::size_t got = co_await stream_.async_read_some(buffer_.prepare(4096), asio::redirect_error(use_awaitable, error));
    if (error) break;
    buffer_.commit(got);
  }
  if (deadline.passed()) error = beast::error::timeout;
  co_return Refusal{status_of(error, false), reason(error, "request")};
}

asio::awaitable<bool> Connection::serve_one(bool first, bool last) {
  Parser parser;
  parser.header_limit(state_->limits.header_bytes);
  parser.body_limit(state_->limits.body_bytes);
  if (!co_await wait_for_request(first)) co_return false;
  const auto unreadable = co_await read_header(parser);
  const Counted busy(state_->busy);
  if (unreadable) {
    if (unreadable->status != 0) co_await refuse(unreadable->status, unreadable->message);
    co_return false;
  }
  HttpRequest request = head_of(parser.get().base(), peer_);
  const bool keep_alive = parser.get().keep_alive() && !last;
  const unsigned version = parser.get().version();
  if (const auto refused = check(request, parser)) {
    co_await refuse(refused->status, refused->message);
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

std::optional<Connection::Refusal> Connection::check(const HttpRequest& request, const Parser& parser) const {
  const HttpLimits& limits = state_->limits;
  if (request.target.size() > limits.target_bytes)
    return Refusal{414, fmt::format("the request target is longer than {} bytes", limits.target_bytes)};
  if (request.target.empty() || request.target.front() != '/') return Refusal{400, "the request target is not a path"};
  if (request.headers.size() > limits.headers)
    return Refusal{431, fmt::format("there are more than {} headers", limits.headers)};
  const auto count = [&](std::string_view name) {
    return std::count_if(request.headers.begin(), request.headers.end(), [&](const auto& h) { return h.first == name; });
  };
  if (parser.get().version() >= 11 && count("host") != 1) return Refusal{400, "there must be exactly one Host header"};
  if (count("content-length") > 1) return Refusal{400, "there is more than one Content-Length"};
  if (count("content-length") > 0 && count("transfer-encoding") > 0)
    return Refusal{400, "Content-Length and Transfer-Encoding exclude each other"};
  if (const std::string* size = request.header("content-length"); size != nullptr && !is_number(*size))
    return Refusal{400, "the Content-Length is no number"};
  if (request.header("content-encoding") != nullptr) return Refusal{415, "encoded bodies are not accepted"};
  const auto length = parser.content_length();
  if (length && *length > limits.body_bytes)
    return Refusal{413, fmt::format("the body has {} bytes, at most {} are allowed", *length, limits.body_bytes)};
  return std::nullopt;
}

// Within its time, and never silent for long.
asio::awaitable<error_code> Connection::read_rest(Parser& parser) {
  const auto end = std::chrono::steady_clock::now() + state_->limits.body_time;
  parser.eager(true);  // all that has come at once, not chunk by chunk
  error_code error;
  while (!error && !parser.is_done()) {
    const auto left = end - std::chrono::steady_clock::now();
    const Deadline deadline(stream_, std::min<std::chrono::steady_clock::duration>(left, state_->limits.body_pause));
    co_await http::async_read_some(stream_, buffer_, parser, asio::redirect_error(use_awaitable, error));
    if (deadline.passed()) error = beast::error::timeout;
  }
  co_return error;
}

asio::awaitable<bool> Connection::read_body(Parser& parser, HttpRequest& request) {
  if (parser.is_done()) co_return true;
  if (const std::string* expect = request.header("expect"); expect != nullptr && lower(*expect) == "100-continue") {
    static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    stream_.expires_after(state_->limits.write_time);
    co_await asio::async_write(stream_, asio::buffer(go_on), use_awaitable);
  }
  if (const error_code error = co_await read_rest(parser)) {
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
