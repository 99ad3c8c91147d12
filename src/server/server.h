// Server: models behind HTTP, for the clients people have.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "inference/model_set.h"
#include "server/http_server.h"
#include "server/log_writer.h"
#include "server/metrics.h"
#include "server/tls.h"

namespace bitnet::server {

// What may change while the server runs.
struct ReloadedOptions {
  std::vector<std::string> api_keys;
  LogLevel log_level = LogLevel::info;
};

struct ServerOptions {
  HttpAddress address;
  HttpLimits limits;
  TlsFiles tls;                    // none given: in the clear
  std::shared_ptr<LogWriter> log;  // null: requests are not logged
  MetricsNames metrics_names;
  // Called at SIGHUP, on the server's thread; what it throws is logged, and everything stays as it was. TLS files are read
  // anew, too. Null: only these.
  std::function<ReloadedOptions()> reload;
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

  // Binds; gives the addresses as text. Throws Error{io}, Error{usage} for TLS files.
  std::string listen();

  // Serves until stop(), SIGINT or SIGTERM; tells the service manager when it is ready and when it stops. Returns true when all
  // running requests were finished, false when the drain time ran out.
  bool run();

  // From any thread or from a signal handler's watcher: refuses new requests and lets the running ones end; a second call ends
  // them at once.
  void stop();

  struct Parts;

 private:
  std::unique_ptr<Parts> parts_;
};

}  // namespace bitnet::server
