// Names, types and headers of the page's files.
#include "server/page.h"

#include <fmt/format.h>

#include <map>
#include <span>
#include <string_view>
#include <utility>

#include "common/sha256.h"

namespace bitnet::server {

// By cmake/EmbedFiles.cmake: name and bytes.
std::span<const std::pair<std::string_view, std::string_view>> page_files();

namespace {

struct PageFile {
  const char* type;
  std::string_view bytes;
  std::string tag;  // of its bytes, in quotes: an HTTP ETag
};

const char* type_of(std::string_view name) {
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  return name.ends_with(".js") ? "text/javascript; charset=utf-8" : "image/svg+xml";
}

std::map<std::string, PageFile, std::less<>> by_path() {
  std::map<std::string, PageFile, std::less<>> files;
  for (const auto& [name, bytes] : page_files()) {
    Sha256 hash;
    hash.update(bytes);
    const std::string path = name == "index.html" ? "/" : fmt::format("/page/{}", name);
    files[path] = {type_of(name), bytes, '"' + hash.hex().substr(0, 32) + '"'};
  }
  return files;
}

}  // namespace

std::optional<HttpResponse> page_answer(const HttpRequest& request) {
  static const auto files = by_path();
  if (request.method != "GET" && request.method != "HEAD") return std::nullopt;
  const auto found = files.find(request.path);
  if (found == files.end()) return std::nullopt;
  const PageFile& file = found->second;
  HttpResponse answer{200, file.type, std::string(file.bytes)};
  // Trusted types: even the page's own scripts cannot turn text into markup.
  answer.headers = {
      {"Content-Security-Policy",
       "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
       "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"},
      {"Referrer-Policy", "no-referrer"},
      {"Cross-Origin-Resource-Policy", "same-origin"},
      {"Cache-Control", "no-cache"},
      {"ETag", file.tag}};
  const std::string* known = request.header("if-none-match");
  if (known != nullptr && *known == file.tag) answer.status = 304, answer.content_type.clear(), answer.body.clear();
  return answer;
}

}  // namespace bitnet::server
