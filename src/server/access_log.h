// What the log tells of a request: which, how it ended, how long it took. Never what was asked or answered.
#pragma once

#include "server/http_server.h"
#include "server/log_writer.h"

namespace bitnet::server {

// One line at level info; at debug for what monitors and the page ask for all the time.
void log_exchange(LogWriter& log, const HttpRequest& request, const HttpRecord& record);

// The trace id of a `traceparent` header (W3C Trace Context, version 00); empty when there is none or it is not of that form.
std::string trace_id(const HttpRequest& request);

}  // namespace bitnet::server
