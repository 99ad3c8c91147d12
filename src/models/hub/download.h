// Download: gets one file of known size to its place, going on where an earlier attempt ended.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "models/hub/http.h"

namespace bitnet::hub {

struct Download {
  std::string url;
  std::string what;      // names the file in messages
  std::uint64_t size;    // what the server promised; not a byte more is written
  std::string sha256;    // of the whole; empty = not known
  std::string if_range;  // strong ETag as sent: makes a resumed part safe where there is no sha256
  std::string partial;   // where it grows
  std::string target;    // its name once complete
};

// Called with the bytes that are there, from the calling thread; once at the start.
using OnBytes = std::function<void(std::uint64_t done)>;

// Throws Error{io} when the server breaks a promise, the digest is wrong or the disk is full, TransientError after enough
// retries, Error{cancelled}. The partial file stays, except when its digest is wrong. `target` is only ever the whole, right
// file.
void fetch(HttpClient& client, const Settings& settings, const Download& download, const std::atomic<bool>* cancel,
           const OnBytes& on_bytes);

}  // namespace bitnet::hub
