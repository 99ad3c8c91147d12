// Repository: what the server says of a published model: its files, and for each the commit, size and digest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/sha256.h"
#include "models/hub/http.h"
#include "models/hub/model_name.h"

namespace bitnet::hub {

struct FileList {
  std::string commit;
  std::string licence;             // may be empty
  std::vector<std::string> names;  // safe paths only, sorted; others are left out
};

// Throws Error{not_found, runtime, io}, TransientError.
FileList request_files(HttpClient& client, const Settings& settings, const ModelName& name);

struct FileFacts {
  std::string commit;  // empty for a URL that is no model repository's
  std::string blob;    // the ETag without W/ and quotes, a safe file name
  std::string sha256;  // empty when the server does not state it
  std::string etag;    // as sent; empty unless strong
  std::uint64_t size = 0;
};

std::string file_url(const Settings& settings, const std::string& repository, const std::string& revision,
                     const std::string& file);

// One file of a repository at a revision. Throws as request_files.
FileFacts request_facts(HttpClient& client, const Settings& settings, const ModelName& name, const std::string& revision,
                        const std::string& file);

// Any URL. Asks for the first byte where HEAD is not allowed. Throws Error{io} when the server does not say how long the file
// is.
FileFacts request_url_facts(HttpClient& client, const Settings& settings, const std::string& url);

}  // namespace bitnet::hub
