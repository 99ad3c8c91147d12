// Opens every file of a model and makes one table of their tensors.
#include "models/model_files.h"

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "common/error.h"
#include "models/gguf_parts.h"

namespace bitnet {
namespace {

std::string folder_of(const std::string& file) {
  const std::size_t slash = file.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : file.substr(0, slash);
}

}  // namespace

ModelFiles ModelFiles::open(const std::string& path) {
  ModelFiles files(path);
  std::error_code error;
  if (path.ends_with(".safetensors") || std::filesystem::is_directory(path, error)) {
    files.open_folder();
  } else {
    files.gguf_ = open_parts(path);
  }
  files.list_tensors();
  return files;
}

void ModelFiles::open_folder() {
  const bool is_file = path_.ends_with(".safetensors") && !std::filesystem::is_directory(path_);
  // Before the folder is looked at: a wrong name is the likelier mistake.
  if (is_file && !std::filesystem::exists(path_)) MappedFile::open(path_);
  folder_ = HuggingFaceFolder::open(is_file ? folder_of(path_) : path_);
  shards_ = folder_->open_weights(is_file ? path_.substr(path_.rfind('/') + 1) : "");
}

void ModelFiles::list_tensors() {
  for (std::uint32_t i = 0; i < gguf_.size(); ++i) {
    for (const GgufTensor& t : gguf_[i].tensors()) {
      tensors_.push_back({t.name, info(t.view.type).name, t.view.type, t.view.shape, t.view.bytes, t.offset, i, t.view.tiling});
    }
  }
  for (std::uint32_t i = 0; i < shards_.size(); ++i) {
    for (const SafetensorsTensor& t : shards_[i].tensors()) {
      tensors_.push_back({t.name, t.dtype, t.data_type, t.shape, t.bytes, t.offset, i, {}});
    }
  }
  order_.resize(tensors_.size());
  std::iota(order_.begin(), order_.end(), 0u);
  std::sort(order_.begin(), order_.end(),
            [&](std::uint32_t a, std::uint32_t b) { return tensors_[a].name < tensors_[b].name; });
  for (std::size_t i = 1; i < order_.size(); ++i) {
    const StoredTensor &a = tensors_[order_[i - 1]], &b = tensors_[order_[i]];
    if (a.name == b.name) {
      fail(ErrorKind::bad_model, "{}: tensor '{}' is in {} too", printable(map(a.file).path(), 512), printable(a.name),
           printable(map(b.file).path(), 512));
    }
  }
}

std::uint64_t ModelFiles::bytes() const {
  std::uint64_t total = 0;
  for (const GgufFile& file : gguf_) total += file.size();
  for (const SafetensorsFile& file : shards_) total += file.size();
  return total;
}

const MappedFile& ModelFiles::map(std::uint32_t file) const { return gguf_.empty() ? shards_[file].map() : gguf_[file].map(); }

const StoredTensor* ModelFiles::find(std::string_view name) const {
  const auto at = std::lower_bound(order_.begin(), order_.end(), name,
                                   [&](std::uint32_t i, std::string_view wanted) { return tensors_[i].name < wanted; });
  return at == order_.end() || tensors_[*at].name != name ? nullptr : &tensors_[*at];
}

}  // namespace bitnet
