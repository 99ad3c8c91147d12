// Library errors as API errors, and the body that carries them.
#include "server/api_error.h"

namespace bitnet::server {

ApiError api_error(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::usage:
      return {400, "invalid_request_error", error.what()};
    case ErrorKind::too_big:
      return {400, "invalid_request_error", error.what(), "context_length_exceeded"};
    case ErrorKind::unsupported:
      return {501, "not_supported_error", error.what()};
    case ErrorKind::not_found:
      return {404, "not_found_error", error.what()};
    default:
      return {500, "server_error", error.what()};
  }
}

Json error_body(const ApiError& error) {
  const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  return {{"error",
           {{"message", error.message}, {"type", error.type}, {"param", or_null(error.param)}, {"code", or_null(error.code)}}}};
}

}  // namespace bitnet::server
