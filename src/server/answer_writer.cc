// What the writers of several protocols share.
#include "server/answer_writer.h"

namespace bitnet::server {

std::string sse_event(const Json& data) {
  return "data: " + data.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n\n";
}

std::string sse_event(const char* name, const Json& data) { return fmt::format("event: {}\n{}", name, sse_event(data)); }

}  // namespace bitnet::server
