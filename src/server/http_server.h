// HttpServer: connections, limits and time-outs of HTTP/1.1; what a request means is the handler's business.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitnet::server {

struct HttpLimits {
  std::uint32_t header_bytes = 32 << 10;
  std::size_t target_bytes = 8 << 10;
  std::uint64_t body_bytes = 4 << 20;
  std::int64_t connections = 1024, connections_per_address = 256, requests_per_connection = 1000;
  std::chrono::seconds header_time{10}, body_time{60}, idle_time{75}, write_time{30};
};

struct HttpRequest {
  std::string method, target;                                // target as it was sent
  std::string path;                                          // of the target, without the query
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case, in order
  std::string body;
  std::string peer;                                              // address, or "unix"
  std::vector<std::pair<std::string, std::string>> answer_with;  // headers of every response to it

  const std::string* header(std::string_view lower_case_name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
};

// One request being answered. Belongs to its connection; used on the server's thread only.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  virtual const HttpRequest& request() const = 0;
  virtual boost::asio::any_io_executor executor() = 0;

  // Exactly one of: a whole response; or begin, any number of write, and end. They throw boost::system::system_error when the
  // client is gone or takes nothing for write_time; the connection then ends.
  virtual boost::asio::awaitable<void> respond(HttpResponse response) = 0;
  virtual boost::asio::awaitable<void> begin(HttpResponse head) = 0;  // its body is left out
  virtual boost::asio::awaitable<void> write(std::string piece) = 0;
  virtual boost::asio::awaitable<void> end() = 0;
  virtual bool began() const = 0;

  // Calls `gone` once, when the client closes its end before the exchange is over. For answers that take long.
  virtual void watch(std::function<void()> gone) = 0;
};

// Looks at method, path and headers before the body is read, and may fill in answer_with: a response instead of the body, or
// none.
using HttpGate = std::function<std::optional<HttpResponse>(HttpRequest& request)>;
using HttpHandler = std::function<boost::asio::awaitable<void>(HttpExchange& exchange)>;
// An error that HTTP itself has: 400, 408, 413, 414, 431, 503, as a response in the API's shape.
using HttpRefusal = std::function<HttpResponse(int status, const std::string& message)>;

struct HttpAddress {
  std::string host = "127.0.0.1";  // IPv4, IPv6, or a name that this machine resolves
  std::uint16_t port = 8080;       // 0 = any free one
  std::string unix_path = {};      // of a socket file instead
};

// One thread runs the context and with it everything here.
class HttpServer {
 public:
  HttpServer(boost::asio::io_context& context, const HttpLimits& limits, HttpGate gate, HttpHandler handler,
             HttpRefusal refusal);
  ~HttpServer();

  // Binds and accepts. Throws Error{io} naming address and reason. Gives the bound address as text ("127.0.0.1:8080").
  std::string listen(const HttpAddress& address);
  // Accepts nothing more; connections end behind the request that they are in.
  void close();
  std::int64_t connections() const;

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace bitnet::server
