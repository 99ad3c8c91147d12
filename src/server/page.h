// The web page at /: files of src/server/page/, which the build puts into the program.
#pragma once

#include <optional>

#include "server/http_server.h"

namespace bitnet::server {

// The answer to a GET or HEAD of "/" or of "/page/NAME", with a Content-Security-Policy that lets the page use what this server
// gives and nothing else; 304 where the client has it already. Nothing for any other request.
std::optional<HttpResponse> page_answer(const HttpRequest& request);

}  // namespace bitnet::server
