// HuggingFaceFolder: the files of a model folder as transformers writes it, found by name and read with bounds.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/mapped_file.h"
#include "models/safetensors.h"
#include "models/strict_json.h"

namespace bitnet {

// A value: copying it is cheap but for config(). Nothing below the folder's own level is ever opened.
class HuggingFaceFolder {
 public:
  // Reads config.json. Throws Error{bad_model} when there is none, naming what the folder holds instead; not_found, io.
  static HuggingFaceFolder open(const std::string& path);

  const std::string& path() const { return path_; }
  const Json& config() const { return config_; }  // an object

  bool has(const std::string& name) const;
  std::string path_of(const std::string& name) const { return path_ + "/" + name; }

  // A file that may be absent: nullopt. Throws Error{bad_model} for one that is not a JSON object, io.
  std::optional<Json> find_json(const std::string& name) const;
  std::optional<MappedFile> find_file(const std::string& name) const;

  // The weights: model.safetensors, or the shards that model.safetensors.index.json names; `file`, when not empty, is the one
  // to take (a file of this folder; all shards where the index names it). Every tensor must be in the shard that the index
  // names, and no shard of the folder may be left over. Throws Error{bad_model} naming the first that is not so.
  std::vector<SafetensorsFile> open_weights(const std::string& file = {}) const;

 private:
  explicit HuggingFaceFolder(std::string path) : path_(std::move(path)) {}
  std::vector<SafetensorsFile> open_shards(const Json& index) const;
  void refuse_other_shards(const std::vector<SafetensorsFile>& shards) const;
  [[noreturn]] void no_weights() const;

  std::string path_;
  Json config_;
};

}  // namespace bitnet
