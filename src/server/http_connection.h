// One connection: reads requests within the limits and has them answered; for http_server.cc alone.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>

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
  // Answers whatever comes, and ends.
  boost::asio::awaitable<void> turn_away(int status, const std::string& message);

 private:
  using Parser = http::request_parser<http::string_body>;

  struct Refusal {
    int status = 0;  // 0: nobody is there to be told
    std::string message = {};
  };

  boost::asio::awaitable<bool> serve_one(bool first, bool last);  // false when the connection is over
  boost::asio::awaitable<bool> wait_for_request(bool first);
  boost::asio::awaitable<std::optional<Refusal>> read_header(Parser& parser);
  std::optional<Refusal> check(const HttpRequest& request, const Parser& parser) const;
  boost::asio::awaitable<bool> read_body(Parser& parser, HttpRequest& request);
  boost::asio::awaitable<error_code> read_rest(Parser& parser);
  boost::asio::awaitable<void> refuse(int status, const std::string& message);

  std::shared_ptr<State> state_;
  Transport stream_;
  std::string peer_;
  beast::flat_buffer buffer_{(64 << 10)};
};

}  // namespace bitnet::server::http_detail
