// HTTP/1.1 on Boost.Beast, one coroutine a connection.
#include "server/http_server.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>

#include "common/error.h"
#include "server/http_exchange.h"

namespace bitnet::server {
namespace {

using namespace http_detail;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

}  // namespace

const std::string* HttpRequest::header(std::string_view lower_case_name) const {
  const auto found = std::find_if(headers.begin(), headers.end(), [&](const auto& h) { return h.first == lower_case_name; });
  return found == headers.end() ? nullptr : &found->second;
}

namespace {

HttpRequest head_of(const http::request_header<>& header, const std::string& peer) {
  HttpRequest request;
  request.method = std::string(header.method_string());
  request.target = std::string(header.target());
  request.path = request.target.substr(0, request.target.find('?'));
  request.peer = peer;
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

class Connection {
 public:
  Connection(std::shared_ptr<State> state, Socket socket, std::string peer)
      : state_(std::move(state)), stream_(std::move(socket)), peer_(std::move(peer)) {
    ++state_->connections, ++state_->by_address[peer_];
  }
  ~Connection() {
    --state_->connections;
    if (--state_->by_address[peer_] == 0) state_->by_address.erase(peer_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Stream& stream() { return stream_; }

  asio::awaitable<void> run() {
    for (std::int64_t served = 0; served < state_->limits.requests_per_connection && !state_->closing; ++served) {
      if (!co_await serve_one(served + 1 == state_->limits.requests_per_connection)) break;
    }
    error_code ignored;
    stream_.socket().shutdown(Socket::shutdown_send, ignored);
    co_await drain();
  }

  // Answers and ends: what the client still sends is read for a moment, so that the answer is not lost to a reset.
  asio::awaitable<void> refuse(int status, const std::string& message) {
    Exchange exchange(stream_, *state_, {}, 11, false);
    co_await exchange.respond(state_->refusal(status, message));
  }

 private:
  // False when the connection is over.
  asio::awaitable<bool> serve_one(bool last) {
    http::request_parser<http::string_body> parser;
    parser.header_limit(state_->limits.header_bytes);
    parser.body_limit(state_->limits.body_bytes);
    error_code error;
    if (buffer_.size() == 0) {
      stream_.expires_after(state_->limits.idle_time);
      state_->idle.push_back(&stream_);
      const std::size_t got =
          co_await stream_.async_read_some(buffer_.prepare(4096), asio::redirect_error(use_awaitable, error));
      std::erase(state_->idle, &stream_);
      if (error) co_return false;
      buffer_.commit(got);
    }
    stream_.expires_after(state_->limits.header_time);
    co_await http::async_read_header(stream_, buffer_, parser, asio::redirect_error(use_awaitable, error));
    if (error) {
      if (const int status = status_of(error, false)) co_await refuse(status, "the request cannot be read: " + error.message());
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

  std::optional<std::pair<int, std::string>> check(const HttpRequest& request,
                                                   const http::request_parser<http::string_body>& parser) {
    if (request.target.size() > state_->limits.target_bytes)
      return {{414, fmt::format("the request target is longer than {} bytes", state_->limits.target_bytes)}};
    if (request.target.empty() || request.target.front() != '/') return {{400, "the request target is not a path"}};
    const auto count = [&](std::string_view name) {
      return std::count_if(request.headers.begin(), request.headers.end(), [&](const auto& h) { return h.first == name; });
    };
    if (parser.get().version() >= 11 && count("host") != 1) return {{400, "there must be exactly one Host header"}};
    if (count("content-length") > 1) return {{400, "there is more than one Content-Length"}};
    if (count("content-length") > 0 && count("transfer-encoding") > 0)
      return {{400, "Content-Length and Transfer-Encoding exclude each other"}};
    if (request.header("content-encoding") != nullptr) return {{415, "encoded bodies are not accepted"}};
    const auto length = parser.content_length();
    if (length && *length > state_->limits.body_bytes)
      return {{413, fmt::format("the body has {} bytes, at most {} are allowed", *length, state_->limits.body_bytes)}};
    return std::nullopt;
  }

  asio::awaitable<bool> read_body(http::request_parser<http::string_body>& parser, HttpRequest& request) {
    error_code error;
    if (parser.is_done()) co_return true;
    stream_.expires_after(state_->limits.body_time);
    if (const std::string* expect = request.header("expect"); expect != nullptr && lower(*expect) == "100-continue") {
      static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
      co_await asio::async_write(stream_, asio::buffer(go_on), use_awaitable);
    }
    co_await http::async_read(stream_, buffer_, parser, asio::redirect_error(use_awaitable, error));
    if (error) {
      const int status = status_of(error, true);
      if (status == 413) {
        co_await refuse(413, fmt::format("the body has more than {} bytes", state_->limits.body_bytes));
      } else if (status != 0) {
        co_await refuse(status, "the body cannot be read: " + error.message());
      }
      co_return false;
    }
    request.body = std::move(parser.get().body());
    co_return true;
  }

  asio::awaitable<void> drain() {
    stream_.expires_after(std::chrono::seconds(2));
    error_code error;
    char waste[4096];
    for (std::size_t total = 0; !error && total < (1u << 20);)
      total += co_await stream_.async_read_some(asio::buffer(waste), asio::redirect_error(use_awaitable, error));
    stream_.close();
  }

  std::shared_ptr<State> state_;
  Stream stream_;
  std::string peer_;
  beast::flat_buffer buffer_{(64 << 10)};
};

asio::awaitable<void> serve(std::shared_ptr<State> state, Socket socket, std::string peer) {
  const auto from_peer = state->by_address.find(peer);
  const bool crowded =
      state->connections >= state->limits.connections ||
      (peer != "unix" && from_peer != state->by_address.end() && from_peer->second >= state->limits.connections_per_address);
  Connection connection(state, std::move(socket), std::move(peer));
  try {
    if (crowded) {
      co_await connection.refuse(503, "there are too many connections");
    } else {
      co_await connection.run();
    }
  } catch (const boost::system::system_error&) {
    // The client left or stalled; whoever answered it has been told.
  }
}

template <class Acceptor>
asio::awaitable<void> accept(std::shared_ptr<State> state, Acceptor& acceptor) {
  while (!state->closing) {
    error_code error;
    auto socket = co_await acceptor.async_accept(asio::redirect_error(use_awaitable, error));
    if (error == asio::error::operation_aborted) co_return;
    if (error) {  // no descriptors, say: wait for some to come back
      asio::steady_timer pause(state->context, std::chrono::milliseconds(50));
      co_await pause.async_wait(use_awaitable);
      continue;
    }
    std::string peer = "unix";
    if constexpr (std::is_same_v<Acceptor, asio::ip::tcp::acceptor>) {
      socket.set_option(asio::ip::tcp::no_delay(true), error);
      peer = socket.remote_endpoint(error).address().to_string();
    }
    asio::co_spawn(state->context, serve(state, Socket(std::move(socket)), std::move(peer)), asio::detached);
  }
}

}  // namespace

HttpServer::HttpServer(asio::io_context& context, const HttpLimits& limits, HttpGate gate, HttpHandler handler,
                       HttpRefusal refusal)
    : state_(std::make_shared<State>(context, limits, std::move(gate), std::move(handler), std::move(refusal))) {}

HttpServer::~HttpServer() { close(); }

std::string HttpServer::listen(const HttpAddress& address) {
  State& state = *state_;
  try {
    if (!address.unix_path.empty()) {
      struct stat old{};
      if (::lstat(address.unix_path.c_str(), &old) == 0 && S_ISSOCK(old.st_mode)) ::unlink(address.unix_path.c_str());
      state.local = std::make_unique<asio::local::stream_protocol::acceptor>(
          state.context, asio::local::stream_protocol::endpoint(address.unix_path));
      state.unix_path = address.unix_path;
      asio::co_spawn(state.context, accept(state_, *state.local), asio::detached);
      return "unix:" + address.unix_path;
    }
    asio::ip::tcp::resolver resolver(state.context);
    const auto found = resolver.resolve(address.host, std::to_string(address.port), asio::ip::resolver_base::passive);
    state.tcp = std::make_unique<asio::ip::tcp::acceptor>(state.context, *found.begin(), true);
    asio::co_spawn(state.context, accept(state_, *state.tcp), asio::detached);
    const auto bound = state.tcp->local_endpoint();
    const std::string host = bound.address().to_string();
    return fmt::format("{}:{}", bound.address().is_v6() ? "[" + host + "]" : host, bound.port());
  } catch (const boost::system::system_error& error) {
    fail(ErrorKind::io, "cannot listen on {}: {}",
         address.unix_path.empty() ? fmt::format("{} port {}", printable(address.host), address.port)
                                   : printable(address.unix_path),
         error.code().message());
  }
}

void HttpServer::close() {
  State& state = *state_;
  if (state.closing) return;
  state.closing = true;
  error_code ignored;
  if (state.tcp) state.tcp->close(ignored);
  if (state.local) state.local->close(ignored), ::unlink(state.unix_path.c_str());
  for (Stream* stream : std::vector<Stream*>(state.idle)) stream->cancel();
}

std::int64_t HttpServer::connections() const { return state_->connections; }

}  // namespace bitnet::server
