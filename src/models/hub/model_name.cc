// The grammar of model names, and the table of short ones.
#include "models/hub/model_name.h"

#include <algorithm>
#include <array>

#include "common/error.h"
#include "common/utf8.h"

namespace bitnet::hub {
namespace {

constexpr std::string_view word = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
constexpr std::size_t max_repository = 96, max_path = 1024, max_part = 255, max_blob_name = 128;

constexpr std::array<Alias, 10> table = {{
    {"2b-4t", "microsoft/bitnet-b1.58-2B-4T-gguf"},
    {"2b-4t-hf", "microsoft/bitnet-b1.58-2B-4T"},
    {"bitnet-large", "1bitLLM/bitnet_b1_58-large"},
    {"bitnet-3b", "1bitLLM/bitnet_b1_58-3B"},
    {"bonsai-4b", "prism-ml/Ternary-Bonsai-4B-gguf"},
    {"bonsai-8b", "prism-ml/Ternary-Bonsai-8B-gguf"},
    {"falcon3-1b", "tiiuae/Falcon3-1B-Instruct-1.58bit"},
    {"falcon3-10b", "tiiuae/Falcon3-10B-Instruct-1.58bit-GGUF"},
    {"falcon-e-3b", "tiiuae/Falcon-E-3B-Instruct-GGUF"},
    {"llama3-8b", "HF1BitLLM/Llama3-8B-1.58-100B-tokens"},
}};

// One of the two halves of a repository's name.
bool is_name_part(std::string_view part) {
  const auto edge = [](char c) { return c == '-' || c == '.'; };
  return !part.empty() && part.find_first_not_of(word) == std::string_view::npos && !edge(part.front()) && !edge(part.back()) &&
         part.find("--") == std::string_view::npos && part.find("..") == std::string_view::npos;
}

bool is_repository(std::string_view text) {
  const std::size_t slash = text.find('/');
  return text.size() <= max_repository && slash != std::string_view::npos && is_name_part(text.substr(0, slash)) &&
         is_name_part(text.substr(slash + 1));
}

bool is_safe_part(std::string_view part) {
  if (part.empty() || part == "." || part == ".." || part.size() > max_part) return false;
  while (!part.empty()) {
    const Utf8Char c = utf8_decode(part);
    if (!c.valid || c.code < 0x20 || (c.code >= 0x7f && c.code < 0xa0) || c.code == '\\') return false;
    part.remove_prefix(c.size);
  }
  return true;
}

}  // namespace

std::span<const Alias> aliases() { return table; }

std::string ModelName::text() const {
  return repository + (file.empty() ? "" : ":" + file) + (revision.empty() ? "" : "@" + revision);
}

std::optional<ModelName> parse_model_name(std::string_view text) {
  ModelName name;
  const std::size_t colon = text.find(':');
  const std::size_t at = text.rfind('@');
  if (at != std::string_view::npos && (colon == std::string_view::npos || at > colon)) {
    name.revision = text.substr(at + 1);
    text = text.substr(0, at);
    if (!is_safe_path(name.revision)) return std::nullopt;
  }
  if (colon != std::string_view::npos) {
    name.file = text.substr(colon + 1);
    text = text.substr(0, colon);
    if (!is_safe_path(name.file)) return std::nullopt;
  }
  const auto* alias = std::ranges::find(table, text, &Alias::name);
  name.repository = alias != table.end() ? alias->repository : std::string(text);
  if (!is_repository(name.repository)) return std::nullopt;
  return name;
}

ModelName require_model_name(std::string_view text) {
  if (auto name = parse_model_name(text)) return *name;
  fail(ErrorKind::usage, "'{}' is no model: the form is OWNER/NAME[:FILE][@REVISION]", printable(text));
}

bool is_safe_path(std::string_view path) {
  if (path.size() > max_path) return false;
  while (true) {
    const std::size_t slash = path.find('/');
    if (!is_safe_part(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

bool is_safe_blob_name(std::string_view name) {
  return !name.empty() && name.size() <= max_blob_name && name.front() != '.' &&
         name.find_first_not_of(word) == std::string_view::npos;
}

bool is_commit(std::string_view text) {
  return text.size() == 40 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string repository_folder(const std::string& repository) {
  const std::size_t slash = repository.find('/');
  return "models--" + repository.substr(0, slash) + "--" + repository.substr(slash + 1);
}

std::optional<std::string> repository_of_folder(std::string_view folder) {
  constexpr std::string_view prefix = "models--";
  if (!folder.starts_with(prefix)) return std::nullopt;
  std::string repository(folder.substr(prefix.size()));
  const std::size_t split = repository.find("--");
  if (split == std::string::npos) return std::nullopt;
  repository.replace(split, 2, "/");
  if (!is_repository(repository)) return std::nullopt;
  return repository;
}

}  // namespace bitnet::hub
