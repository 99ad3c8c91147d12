// Server: models behind HTTP, for the clients people have.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "inference/model_set.h"
#include "server/http_server.h"

namespace bitnet::server {

struct ServerOptions {
  HttpAddress address;
  HttpLimits limits;
  bool manage_models = false;              // clients may load and unload models by name
  bool allow_pull = false;                 // clients may download models into the cache, and delete them there
  std::vector<std::string> api_keys;       // none: everybody may ask
  std::vector<std::string> cors_origins;   // whose pages may ask; "*" = all
  std::vector<std::string> allowed_hosts;  // beside loopback names, where it listens on loopback; "*" = all
  std::chrono::seconds request_time{600};  // after which a request ends with what there is
  std::chrono::seconds heartbeat{15};      // silence of a stream after which a comment is sent
  std::chrono::seconds drain_time{30};     // for running requests when it stops
};

// Runs on the caller's thread, with one more for reading requests, beside those of the models.
class Server {
 public:
  // Keeps a reference to the models, which it stops when it ends. Throws Error{usage}.
  Server(ModelSet& models, ServerOptions options);
  ~Server();

  // Binds; gives the address as text. Throws Error{io}.
  std::string listen();

  // Serves until stop(). Returns true when all running requests were finished, false when the drain time ran out.
  bool run();

  // From any thread or from a signal handler's watcher: refuses new requests and lets the running ones end; a second call ends
  // them at once.
  void stop();

  struct Parts;

 private:
  std::unique_ptr<Parts> parts_;
};

}  // namespace bitnet::server
