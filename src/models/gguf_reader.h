// GgufFile: the metadata and tensor table of a GGUF file, read from untrusted bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/cursor.h"
#include "common/mapped_file.h"
#include "common/shape.h"

namespace bitnet {

// Numbers of the specification (ggml/docs/gguf.md).
enum class GgufType : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };
std::string_view name_of(GgufType type);

struct GgufArray {
  GgufType type;  // of the elements
  std::uint64_t count = 0;
  std::span<const std::byte> bytes;       // numbers, as they lie in the file
  std::vector<std::string_view> strings;  // strings, into the file
};

struct GgufValue {
  GgufType type;
  // Unsigned and signed integers of every width, f32 and f64, bool, text into the file.
  std::variant<std::uint64_t, std::int64_t, double, bool, std::string_view, GgufArray> value;
};

struct GgufEntry {
  std::string_view key;
  GgufValue value;
  std::span<const std::byte> encoded;  // the type and the value, as they lie in the file
};

struct GgufTensor {
  std::string_view name;
  std::uint64_t offset;  // from the start of the file
  TensorView view;
};

// Versions 2 and 3, little-endian (ggml/docs/gguf.md). Everything is checked before it is used: counts, lengths, types, names,
// shapes, sizes, alignment, bounds and overlaps; bytes after the last tensor are allowed. Memory allocated stays below 4 times
// the file's size. Views point into the mapped file and live as long as this object (moves included). Immutable after open, so
// safe to share. TL1 and TL2 tensors take their tiling from a kernel_config.ini in the file's folder, if there is one.
class GgufFile {
 public:
  // Of a split file, this part alone. Throws Error: not_found, io, bad_model with file, place, field, fact and bound.
  static GgufFile open(const std::string& path);

  const std::string& path() const { return map_.path(); }
  const MappedFile& map() const { return map_; }
  std::uint64_t size() const { return map_.bytes().size(); }
  std::uint32_t version() const { return version_; }
  std::uint64_t alignment() const { return alignment_; }
  const std::vector<GgufEntry>& entries() const { return entries_; }  // in the file's order
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* find_tensor(std::string_view name) const;

  // By key: nullopt (an empty array) when absent; Error{bad_model} naming the key when it has another type or does not fit.
  const GgufValue* find(std::string_view key) const;
  std::optional<std::uint64_t> find_unsigned(std::string_view key) const;
  std::optional<double> find_number(std::string_view key) const;
  std::optional<bool> find_bool(std::string_view key) const;
  std::optional<std::string_view> find_string(std::string_view key) const;
  const std::vector<std::string_view>& find_strings(std::string_view key) const;
  std::vector<std::int64_t> find_integers(std::string_view key) const;  // of 32 or 64 bits
  std::vector<float> find_floats(std::string_view key) const;

 private:
  explicit GgufFile(MappedFile map) : map_(std::move(map)) {}
  void read();
  void read_entries(Cursor& in, std::uint64_t count);
  void read_tensors(Cursor& in, std::uint64_t count);
  void place_tensors(const Cursor& in);
  void check_overlaps(const Cursor& in) const;

  MappedFile map_;
  std::uint32_t version_ = 0;
  std::uint64_t alignment_ = 32;
  std::vector<GgufEntry> entries_;
  std::vector<GgufTensor> tensors_;
  // Indices ordered by name. Not a hash table: a file could be made of names that all collide.
  std::vector<std::uint32_t> entry_order_, tensor_order_;
};

}  // namespace bitnet
