// Encodes GGUF metadata and lays out the file, little-endian on every machine.
#include "models/gguf_writer.h"

#include <algorithm>
#include <type_traits>

#include "common/checked.h"
#include "common/error.h"

namespace bitnet {
namespace {

constexpr std::uint32_t version = 3;

template <class T>
std::string number(T value) {
  using Bits = std::conditional_t<
      sizeof(T) == 8, std::uint64_t,
      std::conditional_t<sizeof(T) == 4, std::uint32_t, std::conditional_t<sizeof(T) == 2, std::uint16_t, std::uint8_t>>>;
  const auto bits = __builtin_bit_cast(Bits, value);
  std::string out(sizeof(T), '\0');
  for (std::size_t i = 0; i < sizeof(T); ++i) out[i] = static_cast<char>(std::uint64_t{bits} >> (8 * i) & 0xff);
  return out;
}

std::string string(std::string_view text) { return number(std::uint64_t{text.size()}) + std::string(text); }

std::string type_id(GgufType type) { return number(static_cast<std::uint32_t>(type)); }

template <class T>
std::string numbers(GgufType type, std::span<const T> values) {
  std::string out = type_id(GgufType::array) + type_id(type) + number(std::uint64_t{values.size()});
  for (const T value : values) out += number(value);
  return out;
}

std::uint64_t bytes_of(const NewTensor& tensor) {
  const Shape& shape = tensor.shape;
  const auto bytes =
      data_bytes(tensor.type, static_cast<std::uint64_t>(shape.elements()), static_cast<std::uint64_t>(shape.cols()));
  if (!info(tensor.type).ggml_id) {
    fail(ErrorKind::usage, "tensor '{}' cannot be {}, which GGUF files do not have", printable(tensor.name),
         info(tensor.type).name);
  }
  if (!bytes) {
    fail(ErrorKind::usage, "tensor '{}' of shape {} cannot be {}, which holds {}", printable(tensor.name), shape.text(),
         info(tensor.type).name, whole_units(tensor.type));
  }
  return *bytes;
}

std::string table_entry(const NewTensor& tensor, std::uint64_t offset) {
  std::string out = string(tensor.name) + number(static_cast<std::uint32_t>(tensor.shape.dims.size()));
  // GGUF names the fastest dimension first.
  for (auto dim = tensor.shape.dims.rbegin(); dim != tensor.shape.dims.rend(); ++dim) {
    out += number(static_cast<std::uint64_t>(*dim));
  }
  return out + number(info(tensor.type).ggml_id.value()) + number(offset);
}

}  // namespace

void GgufMetadata::copy(std::string_view key, const GgufEntry& entry) {
  set(key, {reinterpret_cast<const char*>(entry.encoded.data()), entry.encoded.size()});
}
void GgufMetadata::u8(std::string_view key, std::uint8_t value) { set(key, type_id(GgufType::u8) + number(value)); }
void GgufMetadata::i8(std::string_view key, std::int8_t value) { set(key, type_id(GgufType::i8) + number(value)); }
void GgufMetadata::u16(std::string_view key, std::uint16_t value) { set(key, type_id(GgufType::u16) + number(value)); }
void GgufMetadata::i16(std::string_view key, std::int16_t value) { set(key, type_id(GgufType::i16) + number(value)); }
void GgufMetadata::u32(std::string_view key, std::uint32_t value) { set(key, type_id(GgufType::u32) + number(value)); }
void GgufMetadata::i32(std::string_view key, std::int32_t value) { set(key, type_id(GgufType::i32) + number(value)); }
void GgufMetadata::u64(std::string_view key, std::uint64_t value) { set(key, type_id(GgufType::u64) + number(value)); }
void GgufMetadata::i64(std::string_view key, std::int64_t value) { set(key, type_id(GgufType::i64) + number(value)); }
void GgufMetadata::f32(std::string_view key, float value) { set(key, type_id(GgufType::f32) + number(value)); }
void GgufMetadata::f64(std::string_view key, double value) { set(key, type_id(GgufType::f64) + number(value)); }
void GgufMetadata::boolean(std::string_view key, bool value) {
  set(key, type_id(GgufType::boolean) + number(static_cast<std::uint8_t>(value)));
}
void GgufMetadata::text(std::string_view key, std::string_view value) { set(key, type_id(GgufType::string) + string(value)); }
void GgufMetadata::texts(std::string_view key, std::span<const std::string> values) {
  std::string out = type_id(GgufType::array) + type_id(GgufType::string) + number(std::uint64_t{values.size()});
  for (const std::string& value : values) out += string(value);
  set(key, std::move(out));
}
void GgufMetadata::i32s(std::string_view key, std::span<const std::int32_t> values) {
  set(key, numbers(GgufType::i32, values));
}
void GgufMetadata::booleans(std::string_view key, const std::vector<bool>& values) {
  std::string out = type_id(GgufType::array) + type_id(GgufType::boolean) + number(std::uint64_t{values.size()});
  for (const bool value : values) out += value ? '\1' : '\0';
  set(key, std::move(out));
}
void GgufMetadata::f32s(std::string_view key, std::span<const float> values) { set(key, numbers(GgufType::f32, values)); }

std::size_t GgufMetadata::find(std::string_view key) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.key == key; });
  return static_cast<std::size_t>(found - entries_.begin());
}

void GgufMetadata::set(std::string_view key, std::string value) {
  const std::size_t at = find(key);
  if (at == entries_.size()) entries_.push_back({std::string(key), {}});
  entries_[at].value = std::move(value);
}

void GgufMetadata::remove(std::string_view key) {
  const std::size_t at = find(key);
  if (at != entries_.size()) entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(at));
}

void GgufMetadata::rename_prefix(std::string_view from, std::string_view to) {
  for (Entry& entry : entries_) {
    if (entry.key.starts_with(from)) entry.key.replace(0, from.size(), to);
  }
}

std::string GgufMetadata::encoded() const {
  std::string out;
  for (const Entry& entry : entries_) out += string(entry.key) + entry.value;
  return out;
}

std::uint64_t GgufMetadata::alignment() const {
  const std::size_t at = find("general.alignment");
  if (at == entries_.size()) return 32;
  std::uint64_t value = 0;
  for (std::size_t i = 4; i-- > 0;) value = value << 8 | static_cast<unsigned char>(entries_[at].value[4 + i]);
  return value;
}

FileLayout gguf_layout(const GgufMetadata& metadata, std::span<const NewTensor> tensors) {
  const std::uint64_t alignment = metadata.alignment();
  FileLayout layout;
  layout.head = "GGUF" + number(version) + number(std::uint64_t{tensors.size()}) + number(std::uint64_t{metadata.size()}) +
                metadata.encoded();
  std::uint64_t offset = 0;
  for (const NewTensor& tensor : tensors) {
    const std::uint64_t bytes = bytes_of(tensor);
    layout.head += table_entry(tensor, offset);
    layout.tensors.push_back({offset, bytes});
    offset = *checked_round_up(offset + bytes, alignment);
  }
  const std::uint64_t start = *checked_round_up(layout.head.size(), alignment);
  for (FileLayout::Place& place : layout.tensors) place.offset += start;
  layout.file_bytes = start + offset;
  return layout;
}

}  // namespace bitnet
