// Settings: where models come from and where they are kept, read from the environment as the huggingface_hub library reads it.
#pragma once

#include <string>
#include <string_view>

namespace bitnet::hub {

struct Settings {
  std::string endpoint = "https://huggingface.co";  // without a slash at the end
  std::string cache;                                // the folder of models--OWNER--NAME folders
  std::string token;                                // sent to the endpoint's own host only; empty = none
  std::string token_file;                           // where a token is looked for, for messages
  std::string ca_file, ca_folder;                   // empty = the system's certificates
  bool offline = false;                             // no connection is opened
  bool quiet = false;                               // HF_HUB_DISABLE_PROGRESS_BARS
  double stall_seconds = 30;                        // a transfer slower than min_speed for this long has stalled
  int retries = 5;                                  // in a row, without progress in between
};

// HF_ENDPOINT; HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub;
// HF_TOKEN, HUGGING_FACE_HUB_TOKEN, the file HF_TOKEN_PATH or $HF_HOME/token; HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE;
// HF_HUB_DOWNLOAD_TIMEOUT; SSL_CERT_FILE, SSL_CERT_DIR. (Proxies are libcurl's business: HTTPS_PROXY, ALL_PROXY, http_proxy,
// NO_PROXY.) Throws Error{usage} naming the variable that makes no sense.
Settings settings_from_environment();

// The cache alone: never fails, whatever else the environment holds.
std::string cache_folder_from_environment();

}  // namespace bitnet::hub
