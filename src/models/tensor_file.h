// TensorFiles: writes the files of a model, each a head and tensors at known places, whichever format laid them out.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/mapped_file.h"
#include "common/output_file.h"
#include "common/shape.h"

namespace bitnet {

// A tensor of a file to be written.
struct NewTensor {
  std::string name;
  DataType type = DataType::f32;
  Shape shape;
};

// Where everything lies in the file.
struct FileLayout {
  struct Place {
    std::uint64_t offset, bytes;  // from the start of the file
  };
  std::string head;              // the file's first bytes
  std::vector<Place> tensors;    // in ascending order
  std::uint64_t file_bytes = 0;  // gaps between tensors and behind the last are zero
};

// One file. It appears under its name only on commit(); without it nothing is left behind. Errors are Error{io} naming the
// file.
class TensorFile {
 public:
  TensorFile(const std::string& path, FileLayout layout, Replace replace);

  const std::string& path() const { return path_; }
  const FileLayout& layout() const { return layout_; }

  // `bytes` of tensor `index`, from its byte `offset` on. Every byte of every tensor is written once, in any order, also from
  // several threads.
  void write(std::size_t index, std::uint64_t offset, std::span<const std::byte> bytes);

  // Waits until the disk has everything; throws Error{runtime} when a byte of a tensor was not written.
  void sync();
  void commit();  // syncs if need be

 private:
  std::string path_;
  FileLayout layout_;
  OutputFile file_;
  std::atomic<std::uint64_t> left_;  // bytes of tensors not yet written
};

// Called with the bytes done since the last call; may throw to stop the work. One thread.
using ByteProgress = std::function<void(std::uint64_t)>;

// All files of a model. Tensors are counted through the files.
class TensorFiles {
 public:
  struct File {
    std::string path;
    FileLayout layout;
  };
  // Throws Error{io} before anything is created when the disk has no room for all of them; the files are in one folder.
  TensorFiles(std::vector<File> files, Replace replace);

  std::size_t tensors() const { return places_.size(); }
  std::uint64_t bytes() const { return bytes_; }  // of all files
  std::uint64_t tensor_bytes(std::size_t index) const;
  const std::vector<std::unique_ptr<TensorFile>>& files() const { return files_; }

  void write(std::size_t index, std::uint64_t offset, std::span<const std::byte> bytes);  // as TensorFile::write

  // A whole tensor that lies in a mapped file already, whose pages are let go on the way.
  void copy(std::size_t index, std::span<const std::byte> bytes, const MappedFile& map, const ByteProgress& progress);

  // Waits until the disk has all files, then gives them their names; the first, which is the one to open, comes last.
  void commit();

 private:
  struct Place {
    std::uint32_t file, index;
  };
  std::vector<std::unique_ptr<TensorFile>> files_;
  std::vector<Place> places_;
  std::uint64_t bytes_ = 0;
};

}  // namespace bitnet
