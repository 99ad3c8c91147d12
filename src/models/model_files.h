// ModelFiles: the files a model is stored in - GGUF or SafeTensors, one or several - and the tensors in them by name.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/mapped_file.h"
#include "common/shape.h"
#include "models/gguf_reader.h"
#include "models/huggingface_folder.h"
#include "models/safetensors.h"

namespace bitnet {

// A tensor as its file lists it.
struct StoredTensor {
  std::string_view name;              // as the file writes it
  std::string_view type;              // as its format calls it: "I2_S", "BF16", "U8"
  std::optional<DataType> data_type;  // nullopt: nothing here computes with it as it is
  Shape shape;                        // of SafeTensors: possibly without dimensions, or with one of 0
  std::span<const std::byte> bytes;
  std::uint64_t offset;  // in its file
  std::uint32_t file;    // which of the files
  Tiling tiling = {};    // of TL1 and TL2, as far as a kernel configuration beside the file tells

  TensorView view() const { return {*data_type, shape, bytes, tiling}; }  // of one that has a data type
};

// Owns the mapped files. Move-only; views stay valid while it lives. Immutable after open.
class ModelFiles {
 public:
  // A GGUF file; the first part of a split one (NAME-00001-of-0000N.gguf), which stands for all; a HuggingFace folder; a
  // .safetensors file in one. Every part is checked against what the first part or the index says of it. Throws Error:
  // not_found, io, bad_model, unsupported.
  static ModelFiles open(const std::string& path);

  const std::string& path() const { return path_; }  // as given
  std::uint64_t file_count() const { return gguf_.size() + shards_.size(); }
  std::uint64_t bytes() const;  // of all files
  const MappedFile& map(std::uint32_t file) const;

  const std::vector<StoredTensor>& tensors() const { return tensors_; }  // file by file, in each one's order
  const StoredTensor* find(std::string_view name) const;                 // null when there is none

  // What describes the model: exactly one of these is not null.
  const GgufFile* gguf() const { return gguf_.empty() ? nullptr : &gguf_.front(); }
  const HuggingFaceFolder* folder() const { return folder_ ? &*folder_ : nullptr; }

 private:
  explicit ModelFiles(std::string path) : path_(std::move(path)) {}
  void open_folder();
  void list_tensors();

  std::string path_;
  std::vector<GgufFile> gguf_;           // the parts in order, or
  std::vector<SafetensorsFile> shards_;  // of the folder
  std::optional<HuggingFaceFolder> folder_;
  std::vector<StoredTensor> tensors_;
  std::vector<std::uint32_t> order_;  // of tensors_ by name
};

}  // namespace bitnet
