// HTTP/1.1 on Boost.Beast: where it listens, and one coroutine a connection.
#include "server/http_server.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>

#include "common/error.h"
#include "server/http_connection.h"

namespace bitnet::server {

using namespace http_detail;
using Tcp = asio::ip::tcp;
using Local = asio::local::stream_protocol;

const std::string* HttpRequest::header(std::string_view lower_case_name) const {
  const auto found = std::find_if(headers.begin(), headers.end(), [&](const auto& h) { return h.first == lower_case_name; });
  return found == headers.end() ? nullptr : &found->second;
}

namespace {

// This machine's own connections are of many clients: a proxy hands them on, or they are of several programs.
bool is_of_this_machine(const std::string& peer) { return peer == "unix" || asio::ip::make_address(peer).is_loopback(); }

bool is_crowded(const State& state, const std::string& peer) {
  if (state.connections >= state.limits.connections) return true;
  const auto from_peer = state.by_address.find(peer);
  return from_peer != state.by_address.end() && from_peer->second >= state.limits.connections_per_address &&
         !is_of_this_machine(peer);
}

asio::awaitable<void> serve(std::shared_ptr<State> state, Socket socket, std::string peer) {
  const bool secure = state->tls != nullptr && peer != "unix";
  const bool crowded = is_crowded(*state, peer);
  // To tell it why would cost a handshake, and those that are told take room, too.
  if (crowded && (secure || state->connections >= 2 * state->limits.connections)) co_return;
  Connection connection(state, std::move(socket), std::move(peer), secure);
  try {
    if (crowded) {
      co_await connection.turn_away(503, "there are too many connections");
    } else {
      co_await connection.run();
    }
  } catch (const boost::system::system_error&) {
    // The client left or stalled; whoever answered it has been told.
  }
}

// IPv4 that came through a socket of both versions counts as what it is.
std::string text_of(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
  return address.to_string();
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
    if constexpr (std::is_same_v<Acceptor, Tcp::acceptor>) {
      socket.set_option(Tcp::no_delay(true), error);
      const auto remote = socket.remote_endpoint(error);
      if (error) continue;  // it has left already
      peer = text_of(remote.address());
    }
    asio::co_spawn(state->context, serve(state, Socket(std::move(socket)), std::move(peer)), asio::detached);
  }
}

std::string text_of(const Tcp::endpoint& bound) {
  const std::string host = bound.address().to_string();
  return fmt::format("{}:{}", bound.address().is_v6() ? "[" + host + "]" : host, bound.port());
}

std::string start(const std::shared_ptr<State>& state, std::unique_ptr<Tcp::acceptor> acceptor) {
  state->tcp.push_back(std::move(acceptor));
  asio::co_spawn(state->context, accept(state, *state->tcp.back()), asio::detached);
  return text_of(state->tcp.back()->local_endpoint());
}

std::string start(const std::shared_ptr<State>& state, std::unique_ptr<Local::acceptor> acceptor) {
  state->local.push_back(std::move(acceptor));
  asio::co_spawn(state->context, accept(state, *state->local.back()), asio::detached);
  return "unix:" + state->local.back()->local_endpoint().path();
}

// As many descriptors as connections may need, as far as this process may: what it was started with is often 1024.
void ask_for_descriptors(std::int64_t connections) {
  rlimit limit = {};
  const auto wanted = static_cast<rlim_t>(2 * connections + 64);
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::string listen_on_file(const std::shared_ptr<State>& state, const std::string& path) {
  struct stat old{};
  if (::lstat(path.c_str(), &old) == 0 && S_ISSOCK(old.st_mode)) ::unlink(path.c_str());
  auto acceptor = std::make_unique<Local::acceptor>(state->context, Local::endpoint(path));
  state->unix_path = path;
  return start(state, std::move(acceptor));
}

// On all addresses of a name, at one port; those that this machine cannot do are left out, unless that is all of them.
std::string listen_on_name(const std::shared_ptr<State>& state, std::string host, std::uint16_t port) {
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  Tcp::resolver resolver(state->context);
  const auto found = resolver.resolve(host, std::to_string(port), asio::ip::resolver_base::passive);
  std::string text;
  std::optional<boost::system::system_error> failure;
  for (const auto& entry : found) {
    auto endpoint = entry.endpoint();
    endpoint.port(port);
    try {
      text += (text.empty() ? "" : ", ") + start(state, std::make_unique<Tcp::acceptor>(state->context, endpoint, true));
      port = state->tcp.back()->local_endpoint().port();
    } catch (const boost::system::system_error& error) {
      failure = error;
    }
  }
  if (text.empty()) throw boost::system::system_error(failure ? failure->code() : make_error_code(asio::error::host_not_found));
  return text;
}

std::string listen_on_inherited(const std::shared_ptr<State>& state, int descriptor) {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size);
  if (address.ss_family == AF_UNIX) return start(state, std::make_unique<Local::acceptor>(state->context, Local(), descriptor));
  const Tcp protocol = address.ss_family == AF_INET6 ? Tcp::v6() : Tcp::v4();
  return start(state, std::make_unique<Tcp::acceptor>(state->context, protocol, descriptor));
}

}  // namespace

HttpServer::HttpServer(asio::io_context& context, const HttpLimits& limits, HttpGate gate, HttpHandler handler,
                       HttpRefusal refusal, HttpObserver observer)
    : state_(std::make_shared<State>(context, limits, std::move(gate), std::move(handler), std::move(refusal),
                                     std::move(observer))) {}

HttpServer::~HttpServer() { close(); }

void HttpServer::use_tls(std::shared_ptr<asio::ssl::context> context) { state_->tls = std::move(context); }

std::string HttpServer::listen(const HttpAddress& address) {
  ask_for_descriptors(state_->limits.connections);
  try {
    if (!address.inherited.empty()) {
      std::string text;
      for (const int descriptor : address.inherited)
        text += (text.empty() ? "" : ", ") + listen_on_inherited(state_, descriptor);
      return text;
    }
    if (!address.unix_path.empty()) return listen_on_file(state_, address.unix_path);
    return listen_on_name(state_, address.host, address.port);
  } catch (const boost::system::system_error& error) {
    const std::string where = !address.inherited.empty()   ? "the sockets of LISTEN_FDS"
                              : !address.unix_path.empty() ? printable(address.unix_path)
                                                           : fmt::format("{} port {}", printable(address.host), address.port);
    fail(ErrorKind::io, "cannot listen on {}: {}", where, error.code().message());
  }
}

bool HttpServer::only_loopback() const {
  return std::all_of(state_->tcp.begin(), state_->tcp.end(), [](const auto& acceptor) {
    error_code error;
    const auto address = acceptor->local_endpoint(error).address();
    return !error && (address.is_loopback() || asio::ip::make_address(text_of(address)).is_loopback());
  });
}

void HttpServer::close() {
  State& state = *state_;
  if (std::exchange(state.closing, true)) return;
  error_code ignored;
  for (const auto& acceptor : state.tcp) acceptor->close(ignored);
  for (const auto& acceptor : state.local) acceptor->close(ignored);
  if (!state.unix_path.empty()) ::unlink(state.unix_path.c_str());
}

std::int64_t HttpServer::connections() const { return state_->connections; }
std::int64_t HttpServer::busy() const { return state_->busy; }

}  // namespace bitnet::server
