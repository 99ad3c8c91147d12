// One connection: reads requests within the limits and has them answered; for http_server.cc alone.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "server/http_exchange.h"

namespace bitnet::server::http_detail {

// Counted among the server's connections as long as it lives.
class Connection {
 public:
  Connection(std::shared_ptr<State> state, Socket socket, std::string peer, bool secure);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Serves requests until one side has enough.
  boost::asio::awaitable<void> run();
  // Answers whatever comes and ends.
  boost::asio::awaitable<void> refuse(int status, const std::string& message);

 private:
  using Parser = http::request_parser<http::string_body>;

  boost::asio::awaitable<bool> serve_one(bool last);  // false when the connection is over
  boost::asio::awaitable<bool> wait_for_request();
  std::optional<std::pair<int, std::string>> check(const HttpRequest& request, const Parser& parser) const;
  boost::asio::awaitable<bool> read_body(Parser& parser, HttpRequest& request);

  std::shared_ptr<State> state_;
  Transport stream_;
  std::string peer_;
  beast::flat_buffer buffer_{(64 << 10)};
};

}  // namespace bitnet::server::http_detail
