// Finds config and weights in a folder, and holds shards against their index.
#include "models/huggingface_folder.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "common/error.h"

namespace bitnet {
namespace {

constexpr const char* config_name = "config.json";
constexpr const char* weights_name = "model.safetensors";
constexpr const char* index_name = "model.safetensors.index.json";
constexpr std::size_t max_shards = 10'000;

bool is_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// NAME-00001-of-00003.safetensors
bool is_shard_name(std::string_view name) {
  constexpr std::string_view suffix = ".safetensors", of = "-of-";
  if (!name.ends_with(suffix)) return false;
  name.remove_suffix(suffix.size());
  const std::size_t at = name.rfind(of);
  if (at == std::string_view::npos || !is_digits(name.substr(at + of.size()))) return false;
  const std::size_t number = name.rfind('-', at - 1);
  return at > 0 && number != std::string_view::npos && is_digits(name.substr(number + 1, at - number - 1));
}

// Names of files that stay in the folder, as hubs allow them.
bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name.front() != '.' && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

// The names of a folder's files that `wanted` accepts, in order, at most `count`.
template <class Wanted>
std::vector<std::string> names_in(const std::string& folder, std::size_t count, const Wanted& wanted) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (wanted(name)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  if (names.size() > count) names.resize(count);
  return names;
}

bool index_names(const Json& index, const std::string& file) {
  const auto map = index.find("weight_map");
  return map != index.end() && map->is_object() &&
         std::any_of(map->begin(), map->end(), [&](const Json& shard) { return shard == file; });
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + printable(name);
  return text;
}

}  // namespace

HuggingFaceFolder HuggingFaceFolder::open(const std::string& path) {
  HuggingFaceFolder folder(path.empty() ? "." : path);
  while (folder.path_.size() > 1 && folder.path_.ends_with('/')) folder.path_.pop_back();
  const std::string shown = printable(folder.path_, 512);
  if (auto config = folder.find_json(config_name)) {
    folder.config_ = std::move(*config);
    return folder;
  }
  std::error_code error;
  if (!std::filesystem::is_directory(folder.path_, error)) fail(ErrorKind::not_found, "{}: there is no such folder", shown);
  const auto others = names_in(folder.path_, 3, [](const std::string& name) { return name.ends_with(".gguf"); });
  if (!others.empty()) {
    fail(ErrorKind::bad_model, "{}: has no config.json, so it is no HuggingFace folder; give the GGUF file in it: {}", shown,
         joined(others));
  }
  fail(ErrorKind::bad_model, "{}: has no config.json: a model is a GGUF file or a folder with config.json and {}", shown,
       weights_name);
}

bool HuggingFaceFolder::has(const std::string& name) const {
  std::error_code error;
  return std::filesystem::exists(path_of(name), error);
}

std::optional<MappedFile> HuggingFaceFolder::find_file(const std::string& name) const {
  if (!has(name)) return std::nullopt;
  return MappedFile::open(path_of(name));
}

std::optional<Json> HuggingFaceFolder::find_json(const std::string& name) const {
  const std::optional<MappedFile> file = find_file(name);
  if (!file) return std::nullopt;
  const std::span<const std::byte> bytes = file->bytes();
  Json json = parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file->path());
  if (!json.is_object()) fail(ErrorKind::bad_model, "{}: is not a JSON object", printable(file->path(), 512));
  return json;
}

std::vector<SafetensorsFile> HuggingFaceFolder::open_weights(const std::string& file) const {
  const bool whole = file.empty() && has(weights_name);
  if (const auto index = whole ? std::nullopt : find_json(index_name)) {
    if (file.empty() || index_names(*index, file)) return open_shards(*index);
  } else if (file.empty() && !whole) {
    no_weights();
  }
  std::vector<SafetensorsFile> files;
  files.push_back(SafetensorsFile::open(path_of(whole ? weights_name : file)));
  return files;
}

void HuggingFaceFolder::no_weights() const {
  const auto ending = [&](std::string_view suffix) {
    return joined(names_in(path_, 3, [&](const std::string& name) { return name.ends_with(suffix); }));
  };
  const std::string ggufs = ending(".gguf"), pickles = ending(".bin");
  std::string hint;
  if (!ggufs.empty()) {
    hint = "; give the GGUF file in it: " + ggufs;
  } else if (!pickles.empty()) {
    hint = "; PyTorch's pickles are not read, because they run code: " + pickles;
  }
  fail(ErrorKind::bad_model, "{}: has neither {} nor {}{}", printable(path_, 512), weights_name, index_name, hint);
}

std::vector<SafetensorsFile> HuggingFaceFolder::open_shards(const Json& index) const {
  const std::string shown = printable(path_of(index_name), 512);
  const auto map = index.find("weight_map");
  if (map == index.end() || !map->is_object() || map->empty()) {
    fail(ErrorKind::bad_model, "{}: weight_map is missing, empty or no object", shown);
  }
  std::map<std::string, std::map<std::string, bool>> tensors;  // of each shard: whether the shard has it
  for (const auto& [tensor, shard] : map->items()) {
    const std::string name = shard.is_string() ? shard.get<std::string>() : "";
    if (!is_plain_name(name) || !name.ends_with(".safetensors")) {
      fail(ErrorKind::bad_model, "{}: weight_map['{}'] is '{}', it must be the name of a .safetensors file in the folder",
           shown, printable(tensor), printable(shard.is_string() ? name : "not a string"));
    }
    tensors[name][tensor] = false;
  }
  if (tensors.size() > max_shards) {
    fail(ErrorKind::bad_model, "{}: names {} shards, at most {} are allowed", shown, tensors.size(), max_shards);
  }
  std::vector<SafetensorsFile> shards;
  for (auto& [name, expected] : tensors) {
    if (!has(name)) fail(ErrorKind::bad_model, "{}: shard {} is missing", shown, name);
    shards.push_back(SafetensorsFile::open(path_of(name)));
    for (const SafetensorsTensor& tensor : shards.back().tensors()) {
      const auto found = expected.find(tensor.name);
      if (found == expected.end()) {
        fail(ErrorKind::bad_model, "{}: tensor '{}' is in {}, where the index has not put it", shown, printable(tensor.name),
             name);
      }
      found->second = true;
    }
    for (const auto& [tensor, is_there] : expected) {
      if (!is_there)
        fail(ErrorKind::bad_model, "{}: tensor '{}' is not in {}, where the index has put it", shown, printable(tensor), name);
    }
  }
  refuse_other_shards(shards);
  return shards;
}

// A left-over shard is the mark of files of two models, or of two versions, that were mixed.
void HuggingFaceFolder::refuse_other_shards(const std::vector<SafetensorsFile>& shards) const {
  const auto others = names_in(path_, 3, [&](const std::string& name) {
    return name.starts_with("model-") && is_shard_name(name) &&
           std::none_of(shards.begin(), shards.end(), [&](const SafetensorsFile& s) { return s.path() == path_of(name); });
  });
  if (others.empty()) return;
  fail(ErrorKind::bad_model, "{}: does not name {}, which is in the folder", printable(path_of(index_name), 512),
       joined(others));
}

}  // namespace bitnet
