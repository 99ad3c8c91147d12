// ApiError: why a request is refused, as HTTP status and as the bodies that clients of OpenAI's API expect.
#pragma once

#include <fmt/format.h>

#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "common/error.h"

namespace bitnet::server {

using Json = nlohmann::ordered_json;

// Thrown by whatever reads a request, caught once where it is answered.
struct ApiError : std::exception {
  int status;
  std::string type;     // "invalid_request_error", "authentication_error", "rate_limit_error", "server_error", ...
  std::string message;  // one line
  std::string code;     // empty: null
  std::string param;    // the field that is wrong; empty: null
  std::optional<double> retry_after = {};  // seconds

  ApiError(int http_status, std::string error_type, std::string text, std::string error_code = {}, std::string field = {})
      : status(http_status),
        type(std::move(error_type)),
        message(std::move(text)),
        code(std::move(error_code)),
        param(std::move(field)) {}
  const char* what() const noexcept override { return message.c_str(); }
};

// What the library throws, translated once: wrong arguments are 400, a prompt over the context is 400 with the code that
// clients look for, a thing this build or model cannot do is 501, everything else 500.
ApiError api_error(const Error& error);

// {"error": {"message", "type", "param", "code"}}
Json error_body(const ApiError& error);

// 400 about a field.
template <class... Args>
[[noreturn]] void bad_field(const std::string& field, fmt::format_string<Args...> format, Args&&... args) {
  throw ApiError(400, "invalid_request_error", field + " " + fmt::format(format, std::forward<Args>(args)...), "", field);
}

}  // namespace bitnet::server
