// One request being answered, and what all connections of a server share; for http_server.cc alone.
#pragma once

#include <fmt/format.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http.hpp>

#include "server/http_server.h"
#include "server/transport.h"

namespace bitnet::server {
namespace http_detail {

namespace http = boost::beast::http;

}  // namespace http_detail

struct HttpServer::State {
  State(boost::asio::io_context& io, const HttpLimits& bounds, HttpGate g, HttpHandler h, HttpRefusal r, HttpObserver o)
      : context(io), limits(bounds), gate(std::move(g)), handler(std::move(h)), refusal(std::move(r)), observer(std::move(o)) {}

  boost::asio::io_context& context;
  HttpLimits limits;
  HttpGate gate;
  HttpHandler handler;
  HttpRefusal refusal;
  HttpObserver observer;
  std::shared_ptr<boost::asio::ssl::context> tls;  // of connections to come over TCP; null: in the clear
  std::vector<std::unique_ptr<boost::asio::ip::tcp::acceptor>> tcp;
  std::vector<std::unique_ptr<boost::asio::local::stream_protocol::acceptor>> local;
  std::string unix_path;  // of a socket file that this server made
  bool closing = false;
  std::int64_t connections = 0;
  std::int64_t busy = 0;  // connections with a request that was read and is not yet answered to the end
  std::map<std::string, std::int64_t> by_address;
};

namespace http_detail {

using State = HttpServer::State;

class Exchange final : public HttpExchange {
 public:
  Exchange(Transport& stream, State& state, HttpRequest request, unsigned version, bool keep_alive)
      : stream_(stream), state_(state), request_(std::move(request)), version_(version), keep_alive_(keep_alive) {}

  const HttpRequest& request() const override { return request_; }
  asio::any_io_executor executor() override { return stream_.get_executor(); }
  bool began() const override { return began_; }
  HttpRecord& record() override { return record_; }
  bool keep_alive() const { return keep_alive_ && !state_.closing; }

  asio::awaitable<void> respond(HttpResponse response) override {
    began_ = true;
    record_.status = response.status;
    http::response<http::string_body> message = head<http::string_body>(response);
    message.body() = std::move(response.body);
    message.prepare_payload();
    if (request_.method == "HEAD") message.body().clear();
    stream_.expires_after(state_.limits.write_time);
    if (request_.method == "HEAD") {
      http::response_serializer<http::string_body> serializer(message);
      co_await http::async_write_header(stream_, serializer, use_awaitable);
    } else {
      co_await http::async_write(stream_, message, use_awaitable);
    }
    stop_watching();
  }

  asio::awaitable<void> begin(HttpResponse response) override {
    began_ = true;
    record_.status = response.status;
    chunked_ = version_ >= 11;
    if (!chunked_) keep_alive_ = false;  // the end of an HTTP/1.0 stream is the end of its connection
    http::response<http::empty_body> message = head<http::empty_body>(response);
    message.chunked(chunked_);
    http::response_serializer<http::empty_body> serializer(message);
    stream_.expires_after(state_.limits.write_time);
    co_await http::async_write_header(stream_, serializer, use_awaitable);
  }

  asio::awaitable<void> write(std::string piece) override {
    if (piece.empty()) co_return;
    stream_.expires_after(state_.limits.write_time);
    // One buffer, and so one record of TLS.
    if (chunked_) piece = fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
    co_await asio::async_write(stream_, asio::buffer(piece), use_awaitable);
  }

  asio::awaitable<void> end() override {
    stop_watching();
    if (!chunked_) co_return;
    stream_.expires_after(state_.limits.write_time);
    co_await asio::async_write(stream_, http::make_chunk_last(), use_awaitable);
  }

  ~Exchange() override {
    stop_watching();
    state_.observer(request_, record_);
  }

  void watch(std::function<void()> gone) override {
    watch_ = std::make_shared<Watch>(executor(), std::move(gone));
    wait_until_readable();
  }

  void stop_watching() {
    if (!watch_) return;
    watch_->on = false;
    watch_->timer.cancel();
    watch_->signal.emit(asio::cancellation_type::all);
    watch_.reset();
  }

 private:
  struct Watch {
    Watch(asio::any_io_executor executor, std::function<void()> f) : timer(std::move(executor)), gone(std::move(f)) {}
    asio::cancellation_signal signal;
    asio::steady_timer timer;
    std::function<void()> gone;
    bool on = true;
  };

  void wait_until_readable() {
    stream_.socket().async_wait(Socket::wait_read,
                                asio::bind_cancellation_slot(watch_->signal.slot(), [this, watch = watch_](error_code error) {
                                  if (!error && watch->on) look(watch);
                                }));
  }

  // The next request may lie there already: then the socket stays readable, and is looked at now and then.
  void look(const std::shared_ptr<Watch>& watch) {
    if (stream_.client_left()) return watch->gone();
    watch->timer.expires_after(std::chrono::milliseconds(100));
    watch->timer.async_wait([this, watch](error_code error) {
      if (!error && watch->on) look(watch);
    });
  }

  template <class Body>
  http::response<Body> head(const HttpResponse& response) {
    http::response<Body> message(static_cast<http::status>(response.status), version_);
    message.set(http::field::server, "bitnet");
    if (!response.content_type.empty()) message.set(http::field::content_type, response.content_type);
    for (const auto& [name, value] : response.headers) message.set(name, value);
    for (const auto& [name, value] : request_.answer_with) message.set(name, value);
    message.keep_alive(keep_alive());
    return message;
  }

  Transport& stream_;
  State& state_;
  HttpRequest request_;
  unsigned version_;
  HttpRecord record_;
  bool keep_alive_, began_ = false, chunked_ = false;
  std::shared_ptr<Watch> watch_;
};

}  // namespace http_detail
}  // namespace bitnet::server
