// Range requests, retries, and the digest at the end.
#include "models/hub/download.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "models/hub/partial_file.h"
#include "models/hub/retry.h"

namespace bitnet::hub {
namespace {

constexpr std::uint64_t progress_size = 1 << 20;  // so many bytes since the last failure make a new one forgivable

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "bytes 100-199/200" must be what was asked for: from `from` up to the end of `size` bytes.
void check_range(const Download& d, const Response& response, std::uint64_t from) {
  const std::string text = response.header("content-range");
  const std::string wanted = fmt::format("bytes {}-{}/", from, d.size - 1);
  if (text == wanted + std::to_string(d.size) || text == wanted + "*") return;
  fail(ErrorKind::io, "{}: the server answers the range '{}' with '{}'", d.what, wanted + std::to_string(d.size),
       printable(text, 64));
}

// Looks at an answer before its first byte is written.
void accept(const Download& d, const Response& response, PartialFile& part) {
  const std::string encoding = response.header("content-encoding");
  if (!encoding.empty() && encoding != "identity") {
    fail(ErrorKind::io, "{}: the server sends it compressed ('{}'), which was not asked for", d.what, printable(encoding, 32));
  }
  if (response.status == 206) return check_range(d, response, part.size());
  part.clear();  // 200: the whole file, whatever was asked for
  const std::string length = response.header("content-length");
  if (!length.empty() && number(length) != d.size) {
    fail(ErrorKind::io, "{}: the server promised {} bytes and now sends {}", d.what, d.size, printable(length, 32));
  }
}

// One request for what is missing.
void request_rest(HttpClient& client, const Download& d, PartialFile& part, const OnBytes& on_bytes) {
  bool accepted = false;
  Request request;
  request.url = d.url;
  request.from = part.size();
  request.if_range = d.if_range;
  const Response response = client.send(request, [&](const Response& answer, std::span<const std::byte> bytes) {
    if (!accepted) accept(d, answer, part);
    accepted = true;
    part.append(bytes, d.what);
    on_bytes(part.size());
  });
  if (response.status == 416) part.clear();  // what we hold is no beginning of what is there now
  check_not_busy(response, d.what);
  if (response.status / 100 != 2 && response.status != 416) {
    fail(ErrorKind::io, "{}: the server answers with status {}", d.what, response.status);
  }
  if (part.size() < d.size) {
    throw TransientError(fmt::format("{}: the server ends after {} of {} bytes", d.what, part.size(), d.size), true);
  }
}

void fetch_rest(HttpClient& client, const Settings& settings, const Download& d, const std::atomic<bool>* cancel,
                PartialFile& part, const OnBytes& on_bytes) {
  Retry retry(settings.retries, cancel);
  std::uint64_t before = part.size();
  while (part.size() < d.size) {
    try {
      request_rest(client, d, part, on_bytes);
    } catch (const TransientError& error) {
      if (part.size() >= before + progress_size) retry.progress();
      before = part.size();
      retry.wait(error);
    }
  }
}

}  // namespace

void fetch(HttpClient& client, const Settings& settings, const Download& d, const std::atomic<bool>* cancel,
           const OnBytes& on_bytes) {
  PartialFile part(d.partial, d.size, cancel);
  if (d.sha256.empty() && d.if_range.empty()) part.clear();  // nothing would tell whether it is the same file still
  bool resumed = part.size() > 0;
  on_bytes(part.size());
  while (true) {
    fetch_rest(client, settings, d, cancel, part, on_bytes);
    if (d.sha256.empty() || part.sha256() == d.sha256) return part.publish(d.target);
    if (!resumed) break;
    part.clear();  // the part of an earlier attempt may have been the bad one
    resumed = false;
  }
  const std::string found = part.sha256();
  part.remove();
  fail(ErrorKind::io, "{}: has sha256 {}, expected {}; it was thrown away", d.what, found, d.sha256);
}

}  // namespace bitnet::hub
