// SafetensorsFile: the tensor table of a SafeTensors file, read from untrusted bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/mapped_file.h"
#include "common/shape.h"

namespace bitnet {

struct SafetensorsTensor {
  std::string name;
  std::string_view dtype;             // "BF16"; names a constant
  std::optional<DataType> data_type;  // nullopt: this build computes with no such type
  Shape shape;                        // none of its dimensions, or one of 0, are allowed here
  std::uint64_t offset = 0;           // from the start of the file
  std::span<const std::byte> bytes;   // exactly what dtype and shape need
};

// The format (huggingface/safetensors, "Format"): 8 bytes of little-endian header length, a JSON object that begins with '{'
// and may be followed by blanks, then the data, which the tensors cover without holes or overlaps. Checked here: all of that,
// the header's 100 MB, names and members that appear twice, dtypes, and that shape and dtype agree with the bytes. Memory
// allocated stays in proportion to the header. Views point into the mapped file and live as long as this object (moves
// included). Immutable after open, so safe to share.
class SafetensorsFile {
 public:
  // Throws Error: not_found, io, bad_model with file, place, field, fact and bound.
  static SafetensorsFile open(const std::string& path);

  const std::string& path() const { return map_.path(); }
  const MappedFile& map() const { return map_; }
  std::uint64_t size() const { return map_.bytes().size(); }
  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }                      // as their bytes lie
  const std::vector<std::pair<std::string, std::string>>& metadata() const { return metadata_; }  // of "__metadata__"

 private:
  explicit SafetensorsFile(MappedFile map) : map_(std::move(map)) {}
  void read();

  MappedFile map_;
  std::vector<SafetensorsTensor> tensors_;
  std::vector<std::pair<std::string, std::string>> metadata_;
};

}  // namespace bitnet
