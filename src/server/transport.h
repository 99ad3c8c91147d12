// The bytes of one connection, in the clear or through TLS, under one time limit; for http_server.cc alone.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <cerrno>
#include <memory>
#include <optional>
#include <vector>

namespace bitnet::server::http_detail {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::use_awaitable;
using boost::system::error_code;
using Socket = asio::generic::stream_protocol::socket;

// An AsyncStream for Beast. What expires_after says holds for all operations together until it is said anew.
class Transport {
 public:
  using Plain = beast::basic_stream<asio::generic::stream_protocol>;
  using executor_type = Plain::executor_type;

  // `context`: of TLS, null in the clear.
  Transport(Socket socket, std::shared_ptr<asio::ssl::context> context)
      : plain_(std::move(socket)), context_(std::move(context)) {
    if (context_) tls_.emplace(plain_, *context_);
  }
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  executor_type get_executor() { return plain_.get_executor(); }
  Socket& socket() { return plain_.socket(); }
  bool is_secure() const { return tls_.has_value(); }
  template <class Duration>
  void expires_after(Duration time) {
    plain_.expires_after(time);
  }
  void expires_never() { plain_.expires_never(); }
  void cancel() { plain_.cancel(); }
  void close() { plain_.close(); }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    if (tls_) return tls_->async_read_some(buffers, std::forward<Token>(token));
    return plain_.async_read_some(buffers, std::forward<Token>(token));
  }
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    if (tls_) return tls_->async_write_some(buffers, std::forward<Token>(token));
    return plain_.async_write_some(buffers, std::forward<Token>(token));
  }

  // Agrees with the client on TLS; nothing to do in the clear. False when they did not agree.
  asio::awaitable<bool> open() {
    error_code error;
    if (tls_) co_await tls_->async_handshake(asio::ssl::stream_base::server, asio::redirect_error(use_awaitable, error));
    co_return !error;
  }

  // Says that nothing more comes, and reads for a moment what the client still sends, so that what was written is not lost to a
  // reset.
  asio::awaitable<void> finish() {
    error_code error;
    expires_after(std::chrono::seconds(2));
    if (tls_) co_await tls_->async_shutdown(asio::redirect_error(use_awaitable, error));
    plain_.socket().shutdown(Socket::shutdown_send, error);
    error = {};
    std::vector<char> waste(16 << 10);
    for (std::size_t total = 0; !error && total < (64u << 20);)
      total += co_await plain_.async_read_some(asio::buffer(waste), asio::redirect_error(use_awaitable, error));
    close();
  }

  // Of a socket that has become readable while an answer is made: did the client leave, rather than send its next request?
  bool client_left() {
    std::array<unsigned char, 5> head = {};
    const auto got = ::recv(plain_.socket().native_handle(), head.data(), head.size(), MSG_PEEK | MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK)) return true;
    pollfd state = {plain_.socket().native_handle(), POLLRDHUP, 0};
    if (::poll(&state, 1, 0) > 0) return true;  // though there is something to read
    if (!tls_ || got < 5) return false;
    // A TLS client says goodbye first, by an alert: a record of type 21, or in TLS 1.3 one that looks like data and has room
    // for the two bytes of an alert, its type and a tag of 16 bytes, which no request fits in.
    const int size = head[3] << 8 | head[4];
    return head[0] == 21 || (head[0] == 23 && size <= 19);
  }

 private:
  Plain plain_;
  std::shared_ptr<asio::ssl::context> context_;
  std::optional<asio::ssl::stream<Plain&>> tls_;
};

}  // namespace bitnet::server::http_detail
