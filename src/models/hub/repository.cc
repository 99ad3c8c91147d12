// Asks the hub's API, and reads its answers as the untrusted text that they are.
#include "models/hub/repository.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

namespace bitnet::hub {
namespace {

using Json = nlohmann::json;

constexpr std::size_t max_api_answer = 1 << 20;             // parsed, it may take fifty times as much memory
constexpr std::uint64_t max_file = std::uint64_t{1} << 40;  // 1 TiB
constexpr int max_json_depth = 32;
constexpr double head_patience = 2, list_patience = 4;  // in stall times

// What a refusal means, and what to do about it. https://huggingface.co answers 401 for what does not exist, too.
void check_access(const Response& response, const Settings& settings, const ModelName& name, const std::string& file) {
  if (response.status < 400) return;
  const std::string repository = name.repository, revision = printable(name.revision_or_main());
  const std::string code = response.header("x-error-code");
  const std::string page = settings.endpoint + "/" + repository;
  const bool has_token = !settings.token.empty();
  const std::string token_help = fmt::format("set HF_TOKEN, or write a token to {}", printable(settings.token_file, 512));
  if (code == "RevisionNotFound") fail(ErrorKind::not_found, "{}: has no revision '{}'", repository, revision);
  if (code == "EntryNotFound") {
    fail(ErrorKind::not_found, "{}: has no file '{}' at revision '{}'", repository, printable(file, 256), revision);
  }
  if (code == "GatedRepo" || response.status == 403) {
    fail(ErrorKind::runtime, "{}: access is restricted (status {}): accept its terms at {}, then {}", repository,
         response.status, page,
         has_token ? "pull again; the token in use must be of that account and may read gated models" : token_help);
  }
  if (code == "RepoNotFound" || response.status == 401) {
    if (has_token) {
      const std::string reason = printable(response.header("x-error-message"), 128);
      fail(ErrorKind::not_found, "{}: no such model at {}, or the token in use may not see it{}", repository, settings.endpoint,
           reason.empty() ? "" : " (" + reason + ")");
    }
    fail(ErrorKind::not_found, "{}: no such model at {}, or a private one: {}", repository, settings.endpoint, token_help);
  }
  if (response.status == 404) {
    fail(ErrorKind::not_found, "{}: {} is not there (status 404)", repository,
         file.empty() ? "the model" : "'" + printable(file, 256) + "'");
  }
  fail(ErrorKind::io, "{}: {} answers with status {}", repository, settings.endpoint, response.status);
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string text_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::string licence_of(const Json& model) {
  const auto card = model.find("cardData");
  if (card == model.end() || !card->is_object()) return "";
  const std::string licence = text_at(*card, "license"), name = text_at(*card, "license_name");
  return licence == "other" && !name.empty() ? name : licence;
}

// Looked at before parsing: each level costs many times the memory of its bracket.
bool nested_deeper(std::string_view json, int limit) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > limit) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

FileList read_list(const std::string& text, const std::string& where) {
  if (nested_deeper(text, max_json_depth)) {
    fail(ErrorKind::io, "{}: the list of files is nested more than {} deep", where, max_json_depth);
  }
  const Json model = Json::parse(text, nullptr, false);
  const auto siblings = model.is_object() ? model.find("siblings") : model.end();
  if (!model.is_object() || siblings == model.end() || !siblings->is_array()) {
    fail(ErrorKind::io, "{}: the list of files is not the JSON it should be", where);
  }
  FileList list{text_at(model, "sha"), licence_of(model), {}};
  if (!is_commit(list.commit)) fail(ErrorKind::io, "{}: the list of files names no commit", where);
  for (const Json& sibling : *siblings) {
    if (!sibling.is_object()) continue;
    std::string name = text_at(sibling, "rfilename");
    if (is_safe_path(name)) list.names.push_back(std::move(name));
  }
  std::ranges::sort(list.names);
  return list;
}

// W/"abc" and "abc" are both abc.
std::string stripped_etag(std::string_view text) {
  if (text.starts_with("W/")) text.remove_prefix(2);
  while (text.starts_with('"')) text.remove_prefix(1);
  while (text.ends_with('"')) text.remove_suffix(1);
  return std::string(text);
}

// The facts of an answer to HEAD. The linked file's go before those of the answer itself, which may be a redirect to it.
FileFacts facts_of(const Response& response, const std::string& where) {
  FileFacts facts;
  const std::string linked = response.header("x-linked-etag"), own = response.header("etag");
  const std::string etag = linked.empty() ? own : linked;
  facts.blob = stripped_etag(etag);
  if (is_sha256_hex(facts.blob)) facts.sha256 = facts.blob;
  if (own.starts_with('"') && own.size() > 2) facts.etag = own;
  const std::string size = response.header("x-linked-size");
  const std::string length = response.status / 100 == 3 ? "" : response.header("content-length");
  const auto bytes = number(size.empty() ? length : size);
  if (!bytes) fail(ErrorKind::io, "{}: the server does not say how long it is", where);
  if (*bytes > max_file)
    fail(ErrorKind::too_big, "{}: the server says it has {} bytes, at most {} are fetched", where, *bytes, max_file);
  facts.size = *bytes;
  return facts;
}

Response head(HttpClient& client, const Settings& settings, const std::string& url) {
  Request request;
  request.url = url;
  request.head = true;
  request.stop_at_link = true;
  request.limit_seconds = head_patience * settings.stall_seconds;
  return client.send(request, [](const Response&, std::span<const std::byte>) {});
}

}  // namespace

FileList request_files(HttpClient& client, const Settings& settings, const ModelName& name) {
  Request request;
  request.url = fmt::format("{}/api/models/{}/revision/{}", settings.endpoint, name.repository,
                            url_escaped(name.revision_or_main(), false));
  request.limit_seconds = list_patience * settings.stall_seconds;
  std::string text;
  const Response response = client.send(request, [&](const Response&, std::span<const std::byte> bytes) {
    if (bytes.size() > max_api_answer - text.size()) {
      fail(ErrorKind::io, "{}: the list of files has more than {} bytes", name.repository, max_api_answer);
    }
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  check_not_busy(response, name.repository);
  check_access(response, settings, name, "");
  return read_list(text, name.repository);
}

std::string file_url(const Settings& settings, const std::string& repository, const std::string& revision,
                     const std::string& file) {
  return fmt::format("{}/{}/resolve/{}/{}", settings.endpoint, repository, url_escaped(revision, false),
                     url_escaped(file, true));
}

FileFacts request_facts(HttpClient& client, const Settings& settings, const ModelName& name, const std::string& revision,
                        const std::string& file) {
  const std::string where = name.repository + "/" + printable(file, 256);
  const Response response = head(client, settings, file_url(settings, name.repository, revision, file));
  check_not_busy(response, where);
  check_access(response, settings, name, file);
  FileFacts facts = facts_of(response, where);
  facts.commit = response.header("x-repo-commit");
  if (!is_commit(facts.commit)) {
    fail(ErrorKind::io, "{}: {} names no commit (X-Repo-Commit): it is no model hub, or something stands in between", where,
         settings.endpoint);
  }
  if (!is_safe_blob_name(facts.blob)) {
    fail(ErrorKind::io, "{}: the server calls its content '{}', which is no file name", where, printable(facts.blob, 64));
  }
  return facts;
}

FileFacts request_url_facts(HttpClient& client, const Settings& settings, const std::string& url) {
  const std::string where = printable(url, 256);
  Response response = head(client, settings, url);
  check_not_busy(response, where);
  if (response.status == 400 || response.status == 403 || response.status == 405) {  // signed URLs are often for GET only
    Request request;
    request.url = url;
    request.last = 0;
    request.limit_seconds = head_patience * settings.stall_seconds;
    struct Enough {};
    try {
      response = client.send(request, [&](const Response& answer, std::span<const std::byte>) {
        response = answer;
        throw Enough{};
      });
    } catch (const Enough&) {
    }
    const std::string range = response.header("content-range");
    if (response.status == 206)
      response.headers["content-length"] = range.substr(std::min(range.find('/'), range.size() - 1) + 1);
    check_not_busy(response, where);
  }
  if (response.status == 404 || response.status == 410)
    fail(ErrorKind::not_found, "{}: is not there (status {})", where, response.status);
  if (response.status >= 400) fail(ErrorKind::io, "{}: the server answers with status {}", where, response.status);
  return facts_of(response, where);
}

}  // namespace bitnet::hub
