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

namespace boost::asio::ssl {
class context;
}

namespace bitnet::server {

struct HttpLimits {
  std::uint32_t header_bytes = 32 << 10;
  std::size_t target_bytes = 8 << 10, headers = 100;
  std::uint64_t body_bytes = 4 << 20;
  std::int64_t connections = 1024, connections_per_address = 256, requests_per_connection = 1000;  // loopback is no address
  std::chrono::seconds header_time{10}, body_time{60}, body_pause{10}, idle_time{75}, write_time{30};
};

struct HttpRequest {
  std::string method, target;                                // target as it was sent
  std::string path;                                          // of the target, without the query
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case, in order
  std::string body;
  std::string peer;                                              // address, or "unix"
  std::chrono::steady_clock::time_point arrived = {};            // when its headers had come
  std::vector<std::pair<std::string, std::string>> answer_with;  // headers of every response to it
  std::string route = {};                                        // the endpoint that the gate found, for the log

  const std::string* header(std::string_view lower_case_name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
};

// What is told of an exchange in the log beside its request; handlers fill in what they know.
struct HttpRecord {
  int status = 0;  // of the response that was begun, or what became of it; 0: none
  std::string model;
  std::int64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
  double first_token_seconds = 0;  // from the request's arrival; 0: there was none
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
  virtual HttpRecord& record() = 0;

  // Calls `gone` once, when the client closes its end before the exchange is over. For answers that take long.
  virtual void watch(std::function<void()> gone) = 0;
};

// Looks at method, path and headers before the body is read, and may fill in answer_with and route: a response instead of the
// body, or none.
using HttpGate = std::function<std::optional<HttpResponse>(HttpRequest& request)>;
using HttpHandler = std::function<boost::asio::awaitable<void>(HttpExchange& exchange)>;
// An error that HTTP itself has: 400, 408, 413, 414, 431, 503, as a response in the API's shape. Of the request no more than
// peer and arrival is known; answer_with may be filled in.
using HttpRefusal = std::function<HttpResponse(HttpRequest& request, int status, const std::string& message)>;
// Told of every exchange when it is over, however it ended. Must not throw.
using HttpObserver = std::function<void(const HttpRequest& request, const HttpRecord& record)>;

struct HttpAddress {
  std::string host = "127.0.0.1";   // IPv4, IPv6, or a name that this machine resolves
  std::uint16_t port = 8080;        // 0 = any free one
  std::string unix_path = {};       // of a socket file instead
  std::vector<int> inherited = {};  // listening sockets that are open already, instead of all of these; they are taken over
};

// One thread runs the context and with it everything here.
class HttpServer {
 public:
  HttpServer(boost::asio::io_context& context, const HttpLimits& limits, HttpGate gate, HttpHandler handler,
             HttpRefusal refusal, HttpObserver observer);
  ~HttpServer();

  // Connections over TCP that come from now on speak TLS with this context.
  void use_tls(std::shared_ptr<boost::asio::ssl::context> context);
  // Binds and accepts; a name is listened to on all its addresses. Throws Error{io} naming address and reason. Gives the bound
  // addresses as text ("127.0.0.1:8080, [::1]:8080").
  std::string listen(const HttpAddress& address);
  bool only_loopback() const;  // nobody outside this machine reaches it
  // Accepts nothing more; connections end behind the request that they are in, or behind the next one where they wait for it.
  void close();
  std::int64_t connections() const;
  std::int64_t busy() const;  // of these, those with a request that is not answered to the end

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace bitnet::server
