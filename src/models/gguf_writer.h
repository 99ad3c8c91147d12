// GGUF version 3, the writing side: metadata of every type, and where the tensors go.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/gguf_reader.h"
#include "models/tensor_file.h"

namespace bitnet {

// The metadata of a file to be written: keys in order, with their values as they will lie in the file (ggml/docs/gguf.md).
// Setting a key that is there replaces its value and keeps its place.
class GgufMetadata {
 public:
  void copy(const GgufEntry& entry) { copy(entry.key, entry); }
  void copy(std::string_view key, const GgufEntry& entry);  // byte for byte, whatever its type, under this name
  void u8(std::string_view key, std::uint8_t value);
  void i8(std::string_view key, std::int8_t value);
  void u16(std::string_view key, std::uint16_t value);
  void i16(std::string_view key, std::int16_t value);
  void u32(std::string_view key, std::uint32_t value);
  void i32(std::string_view key, std::int32_t value);
  void u64(std::string_view key, std::uint64_t value);
  void i64(std::string_view key, std::int64_t value);
  void f32(std::string_view key, float value);
  void f64(std::string_view key, double value);
  void boolean(std::string_view key, bool value);
  void text(std::string_view key, std::string_view value);
  void texts(std::string_view key, std::span<const std::string> values);
  void booleans(std::string_view key, const std::vector<bool>& values);
  void i32s(std::string_view key, std::span<const std::int32_t> values);
  void f32s(std::string_view key, std::span<const float> values);

  bool has(std::string_view key) const { return find(key) != entries_.size(); }
  void remove(std::string_view key);
  void rename_prefix(std::string_view from, std::string_view to);  // of all keys that begin so

  std::size_t size() const { return entries_.size(); }
  std::string encoded() const;      // all entries, as they follow the header
  std::uint64_t alignment() const;  // general.alignment, or 32

 private:
  struct Entry {
    std::string key, value;  // the type and the value, encoded
  };
  std::size_t find(std::string_view key) const;  // size() when absent
  void set(std::string_view key, std::string value);

  std::vector<Entry> entries_;
};

// The header, the metadata, the tensor table; tensors in the order given, each at a multiple of the alignment. Throws
// Error{usage} naming the tensor when its type cannot hold its shape.
FileLayout gguf_layout(const GgufMetadata& metadata, std::span<const NewTensor> tensors);

}  // namespace bitnet
