// The two protocols, which are environment variables and a datagram, without a library.
#include "server/service_manager.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

#include "common/error.h"

namespace bitnet::server {
namespace {

constexpr int first_descriptor = 3, most_descriptors = 64;

long number(const char* text) {
  long value = -1;
  if (text == nullptr) return value;
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, value);
  return error == std::errc() && stop == end ? value : -1;
}

int option(int descriptor, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(descriptor, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

}  // namespace

std::vector<int> inherited_sockets() {
  const long pid = number(std::getenv("LISTEN_PID")), count = number(std::getenv("LISTEN_FDS"));
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
  std::vector<int> sockets;
  if (pid != ::getpid() || count <= 0) return sockets;
  if (count > most_descriptors)
    fail(ErrorKind::usage, "LISTEN_FDS is {}, at most {} sockets are taken", count, most_descriptors);
  for (int descriptor = first_descriptor; descriptor < first_descriptor + count; ++descriptor) {
    if (option(descriptor, SO_TYPE) != SOCK_STREAM || option(descriptor, SO_ACCEPTCONN) != 1)
      fail(ErrorKind::usage, "descriptor {} of LISTEN_FDS is no listening stream socket", descriptor);
    ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    sockets.push_back(descriptor);
  }
  return sockets;
}

void tell_service_manager(std::string_view state) noexcept {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address = {};
  if (path == nullptr || (path[0] != '/' && path[0] != '@') || std::strlen(path) >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, std::strlen(path));
  if (path[0] == '@') address.sun_path[0] = '\0';  // a name in the abstract name space
  const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  [[maybe_unused]] const auto sent = ::sendto(descriptor, state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                                              reinterpret_cast<const sockaddr*>(&address), size);
  ::close(descriptor);
}

void tell_service_manager_of_reload() noexcept {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  char text[96];
  const auto end =
      fmt::format_to_n(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1000000LL + now.tv_nsec / 1000).size;
  tell_service_manager({text, std::min(end, sizeof text)});
}

}  // namespace bitnet::server
