// What a service manager of systemd's kind and the server tell each other: sockets it opened, states.
#pragma once

#include <string_view>
#include <vector>

namespace bitnet::server {

// Descriptors of listening sockets that were opened for this process (LISTEN_PID, LISTEN_FDS; sd_listen_fds(3)); none when it
// was started otherwise. Removes the variables, so that no child takes them for its own. Call it once, before there are
// threads. Throws Error{usage} when a descriptor is no listening stream socket.
std::vector<int> inherited_sockets();

// Sends e.g. "READY=1" to NOTIFY_SOCKET (sd_notify(3)); nothing where there is none, and failures are ignored.
void tell_service_manager(std::string_view state) noexcept;

// For a Type=notify-reload service, before it reads anew: "RELOADING=1" with the time that the manager compares.
void tell_service_manager_of_reload() noexcept;

}  // namespace bitnet::server
