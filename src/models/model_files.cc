// Opens every file of a model and makes one table of their tensors.
#include "models/model_files.h"

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "common/error.h"

namespace bitnet {
namespace {

constexpr std::uint64_t max_parts = 10'000;

// "NAME-00001-of-00003.gguf" for part 0 of 3.
std::string part_path(std::string_view name, std::uint64_t part, std::uint64_t count) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", name, part + 1, count);
}

std::uint64_t split_number(const GgufFile& file, std::string_view key) {
  const auto value = file.find_unsigned(key);
  if (!value) fail(ErrorKind::bad_model, "{}: {} is missing", printable(file.path(), 512), key);
  return *value;
}

// What every part says of the whole (llama.cpp, tools/gguf-split).
struct Split {
  std::string name;  // of all parts, without number
  std::uint64_t count, tensors;
};

Split read_split(const GgufFile& first) {
  const std::string shown = printable(first.path(), 512);
  Split split{first.path(), split_number(first, "split.count"), split_number(first, "split.tensors.count")};
  if (split.count > max_parts) {
    fail(ErrorKind::bad_model, "{}: split.count is {}, at most {} are allowed", shown, split.count, max_parts);
  }
  const std::uint64_t number = split_number(first, "split.no");
  if (number >= split.count) {
    fail(ErrorKind::bad_model, "{}: split.no is {}, it must be below split.count, which is {}", shown, number, split.count);
  }
  const std::string suffix = part_path("", number, split.count);
  if (!first.path().ends_with(suffix)) {
    fail(ErrorKind::bad_model, "{}: is part {} of {}, so its name must end with {}", shown, number + 1, split.count, suffix);
  }
  split.name.resize(split.name.size() - suffix.size());
  if (number != 0) {
    fail(ErrorKind::bad_model, "{}: is part {} of {}, give the first: {}", shown, number + 1, split.count,
         printable(part_path(split.name, 0, split.count), 512));
  }
  return split;
}

GgufFile open_part(const Split& split, std::uint64_t number) {
  const std::string path = part_path(split.name, number, split.count), shown = printable(path, 512);
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    fail(ErrorKind::bad_model, "{}: part {} of {} is missing", shown, number + 1, split.count);
  }
  GgufFile part = GgufFile::open(path);
  const std::pair<const char*, std::uint64_t> expected[] = {
      {"split.no", number}, {"split.count", split.count}, {"split.tensors.count", split.tensors}};
  for (const auto& [key, value] : expected) {
    const std::uint64_t found = split_number(part, key);
    if (found != value) fail(ErrorKind::bad_model, "{}: {} is {}, the first part asks for {}", shown, key, found, value);
  }
  return part;
}

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
    files.open_gguf();
  }
  files.list_tensors();
  return files;
}

void ModelFiles::open_gguf() {
  gguf_.push_back(GgufFile::open(path_));
  if (gguf_.front().find_unsigned("split.count").value_or(0) <= 1) return;
  const Split split = read_split(gguf_.front());
  std::uint64_t tensors = gguf_.front().tensors().size();
  for (std::uint64_t i = 1; i < split.count; ++i) {
    gguf_.push_back(open_part(split, i));
    tensors += gguf_.back().tensors().size();
  }
  if (tensors != split.tensors) {
    fail(ErrorKind::bad_model, "{}: split.tensors.count is {}, the parts have {}", printable(path_, 512), split.tensors,
         tensors);
  }
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
