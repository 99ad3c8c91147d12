// One line for each exchange, as fields and as text.
#include "server/access_log.h"

#include <fmt/format.h>

#include <cmath>

#include "common/error.h"

namespace bitnet::server {
namespace {

std::string request_id(const HttpRequest& request) {
  for (const auto& [name, value] : request.answer_with) {
    if (name == "X-Request-Id") return value;
  }
  return {};
}

bool is_hex(std::string_view text) { return text.find_first_not_of("0123456789abcdef") == std::string_view::npos; }

double milliseconds(double seconds) { return std::round(seconds * 1e5) / 100; }

bool is_routine(const HttpRequest& request, int status) {
  const std::string& route = request.route;
  return status < 400 && (route == "/health" || route == "/v1/health" || route == "/healthz" || route == "/readyz" ||
                          route == "/metrics" || route == "page");
}

}  // namespace

std::string trace_id(const HttpRequest& request) {
  const std::string* header = request.header("traceparent");
  if (header == nullptr || header->size() != 55 || !header->starts_with("00-") || (*header)[35] != '-' || (*header)[52] != '-')
    return {};
  const std::string_view text = *header, trace = text.substr(3, 32), parent = text.substr(36, 16);
  const bool all_zero =
      trace.find_first_not_of('0') == std::string_view::npos || parent.find_first_not_of('0') == std::string_view::npos;
  return is_hex(trace) && is_hex(parent) && is_hex(text.substr(53)) && !all_zero ? std::string(trace) : std::string();
}

void log_exchange(LogWriter& log, const HttpRequest& request, const HttpRecord& record) {
  const LogLevel level = is_routine(request, record.status) ? LogLevel::debug : LogLevel::info;
  if (!log.takes(level)) return;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - request.arrived).count();
  // A path that is no endpoint was made up by the client: it is told short and without control characters.
  const std::string route = request.route.empty() ? printable(request.path, 128) : request.route;
  const std::string method = printable(request.method, 16), id = request_id(request), trace = trace_id(request);
  const bool counted = record.prompt_tokens > 0 || record.generated_tokens > 0;
  Json fields = {{"request_id", id}};
  if (!trace.empty()) fields["trace_id"] = trace;
  fields.update({{"method", method},
                 {"route", route},
                 {"status", record.status},
                 {"duration_ms", milliseconds(seconds)},
                 {"peer", request.peer}});
  std::string text = fmt::format("{} {} {} {:.0f} ms", method, route, record.status, seconds * 1000);
  if (counted) {
    fields.update({{"model", record.model},
                   {"prompt_tokens", record.prompt_tokens},
                   {"cached_tokens", record.cached_tokens},
                   {"generated_tokens", record.generated_tokens}});
    text += fmt::format(", {} prompt tokens ({} cached), {} generated", record.prompt_tokens, record.cached_tokens,
                        record.generated_tokens);
  }
  if (record.first_token_seconds > 0) {
    fields["ttft_ms"] = milliseconds(record.first_token_seconds);
    text += fmt::format(", the first after {:.0f} ms", record.first_token_seconds * 1000);
  }
  log.write(level, log.format() == LogFormat::json ? "request" : text + " [" + id + "]", fields);
}

}  // namespace bitnet::server
