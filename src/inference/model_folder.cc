// Looks for models in a folder by their names.
#include "inference/model_folder.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "common/error.h"

namespace bitnet {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t longest_name = 128;
constexpr const char* name_characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:+-";

bool is_plain(const std::string& name) {
  return !name.empty() && name.size() <= longest_name && name.front() != '.' &&
         name.find_first_not_of(name_characters) == std::string::npos;
}

// "-00001-of-00003" at the end of a stem; its number, or nullopt. Parts have five digits each.
std::optional<int> part_number(const std::string& stem) {
  constexpr std::size_t length = 15;
  if (stem.size() <= length) return std::nullopt;
  const std::string end = stem.substr(stem.size() - length);
  for (std::size_t i = 0; i < length; ++i) {
    const bool digit = end[i] >= '0' && end[i] <= '9';
    if (i == 0 || (i >= 6 && i <= 9) ? end[i] != "-00000-of-00000"[i] : !digit) return std::nullopt;
  }
  return std::stoi(end.substr(1, 5));
}

// The name under which an entry of the folder is asked for.
std::optional<std::string> name_of(const fs::path& path) {
  std::error_code ignored;
  std::string name = path.filename().string();
  if (fs::is_directory(path, ignored)) {
    return is_plain(name) && fs::is_regular_file(path / "config.json", ignored) ? std::optional(name) : std::nullopt;
  }
  if (path.extension() != ".gguf" || !fs::is_regular_file(path, ignored)) return std::nullopt;
  name = path.stem().string();
  if (const auto part = part_number(name)) {
    if (*part != 1) return std::nullopt;
    name.resize(name.size() - 15);
  }
  return is_plain(name) ? std::optional(name) : std::nullopt;
}

template <class Visit>
void visit_models(const std::string& folder, const Visit& visit) {
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    if (const auto name = name_of(entries->path())) visit(*name, entries->path().string());
  }
  if (error) fail(ErrorKind::io, "{}: cannot read the folder: {}", printable(folder, 512), error.message());
}

}  // namespace

std::vector<std::string> models_in(const std::string& folder) {
  std::vector<std::string> names;
  visit_models(folder, [&](const std::string& name, const std::string&) { names.push_back(name); });
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::optional<std::string> model_in(const std::string& folder, const std::string& name) {
  if (!is_plain(name)) return std::nullopt;
  std::optional<std::string> found;
  visit_models(folder, [&](const std::string& entry, const std::string& path) {
    if (entry == name && (!found || path < *found)) found = path;
  });
  return found;
}

}  // namespace bitnet
