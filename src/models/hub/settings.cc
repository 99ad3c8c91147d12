// Reads the environment variables of the huggingface_hub library.
#include "models/hub/settings.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <fstream>

#include "common/error.h"

namespace bitnet::hub {
namespace {

constexpr std::size_t max_token = 4096;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_true(std::string value) {
  std::ranges::transform(value, value.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

// A leading "~/" is the home folder's.
std::string expanded(const std::string& path) {
  return path.starts_with("~/") || path == "~" ? variable("HOME") + path.substr(1) : path;
}

std::string home() {
  if (const std::string own = variable("HF_HOME"); !own.empty()) return expanded(own);
  const std::string caches = variable("XDG_CACHE_HOME");
  return (caches.empty() ? variable("HOME") + "/.cache" : expanded(caches)) + "/huggingface";
}

// A token without the blanks around it. Whatever cannot stand in a header is refused, for it would end the header.
std::string clean_token(std::string token, const std::string& source) {
  const auto blank = [](unsigned char c) { return std::isspace(c) != 0; };
  while (!token.empty() && blank(static_cast<unsigned char>(token.back()))) token.pop_back();
  token.erase(token.begin(), std::ranges::find_if_not(token, blank));
  if (token.size() > max_token)
    fail(ErrorKind::usage, "{}: the token has {} bytes, at most {} are allowed", source, token.size(), max_token);
  const bool printable_ascii = std::ranges::all_of(token, [](char c) { return c > 0x20 && c < 0x7f; });
  if (!printable_ascii) fail(ErrorKind::usage, "{}: the token holds blanks, control characters or others beyond ASCII", source);
  return token;
}

std::string read_token(const std::string& file) {
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
    if (std::string token = clean_token(variable(name), name); !token.empty()) return token;
  }
  std::ifstream in(file, std::ios::binary);
  std::string text(max_token + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return clean_token(text, printable(file, 512));
}

std::string endpoint() {
  std::string value = variable("HF_ENDPOINT");
  while (value.ends_with('/')) value.pop_back();
  if (value.empty()) return "https://huggingface.co";
  const bool printable_ascii = std::ranges::all_of(value, [](char c) { return c > 0x20 && c < 0x7f; });
  if (!printable_ascii || (!value.starts_with("https://") && !value.starts_with("http://"))) {
    fail(ErrorKind::usage, "HF_ENDPOINT is '{}', not a URL that begins with https:// or http://", printable(value));
  }
  return value;
}

double stall_seconds(double otherwise) {
  const std::string value = variable("HF_HUB_DOWNLOAD_TIMEOUT");
  if (value.empty()) return otherwise;
  char* end = nullptr;
  const double seconds = std::strtod(value.c_str(), &end);
  if (*end != '\0' || !(seconds >= 1 && seconds <= 3600)) {
    fail(ErrorKind::usage, "HF_HUB_DOWNLOAD_TIMEOUT is '{}', allowed are 1 to 3600 seconds", printable(value));
  }
  return seconds;
}

}  // namespace

std::string cache_folder_from_environment() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const std::string value = variable(name); !value.empty()) return expanded(value);
  }
  return home() + "/hub";
}

Settings settings_from_environment() {
  Settings settings;
  settings.endpoint = endpoint();
  settings.cache = cache_folder_from_environment();
  const std::string token_path = variable("HF_TOKEN_PATH");
  settings.token_file = token_path.empty() ? home() + "/token" : expanded(token_path);
  settings.token = read_token(settings.token_file);
  settings.ca_file = variable("SSL_CERT_FILE");
  settings.ca_folder = variable("SSL_CERT_DIR");
  const std::string offline = variable("HF_HUB_OFFLINE");
  settings.offline = is_true(offline.empty() ? variable("TRANSFORMERS_OFFLINE") : offline);
  settings.quiet = is_true(variable("HF_HUB_DISABLE_PROGRESS_BARS"));
  settings.stall_seconds = stall_seconds(settings.stall_seconds);
  return settings;
}

}  // namespace bitnet::hub
