// Parses and checks the container: header, metadata, tensor table.
#include "models/gguf_reader.h"

#include <algorithm>
#include <numeric>

#include "common/checked.h"
#include "common/cursor.h"
#include "common/utf8.h"
#include "models/gguf_tensor_types.h"

namespace bitnet {
namespace {

// Limits of what a sane file can hold; each is far above anything published.
constexpr std::uint64_t max_entries = 1u << 16, max_tensors = 1u << 20, max_key = 1u << 16, max_string = 16u << 20;
constexpr std::uint64_t max_tensor_name = 256, max_dim = std::uint64_t{1} << 40, max_alignment = 1u << 20;
constexpr std::uint32_t max_dims = 4;
// The bytes of an empty entry: a key of one letter, type and value; a name of one letter, one dimension, type and offset.
constexpr std::uint64_t smallest_entry = 8 + 1 + 4 + 1, smallest_tensor = 8 + 1 + 4 + 8 + 4 + 8;

std::uint64_t element_bytes(GgufType type) {
  switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::boolean:
      return 1;
    case GgufType::u16:
    case GgufType::i16:
      return 2;
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::f32:
      return 4;
    case GgufType::u64:
    case GgufType::i64:
    case GgufType::f64:
      return 8;
    case GgufType::string:
    case GgufType::array:
      break;
  }
  return 0;
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string_view read_string(Cursor& in, std::string_view what, std::uint64_t limit) {
  const auto length = in.number<std::uint64_t>("length of a string");
  if (length > limit) in.fail("{} has a length of {}, at most {} are allowed", what, length, limit);
  return text_of(in.take(length, what));
}

// No count may ask for more memory than the rest of the file can fill.
void check_count(const Cursor& in, std::string_view what, std::uint64_t count, std::uint64_t limit, std::uint64_t smallest) {
  if (count > limit) in.fail("{} count is {}, at most {} are allowed", what, count, limit);
  if (count > in.left() / smallest) {
    in.fail("{} count is {}, the {} bytes left hold at most {}", what, count, in.left(), in.left() / smallest);
  }
}

std::string_view read_key(Cursor& in) {
  const std::string_view key = read_string(in, "metadata key", max_key);
  if (key.empty()) in.fail("a metadata key is empty");
  if (!utf8_valid(key)) in.fail("metadata key '{}' is not UTF-8", printable(key));
  return key;
}

GgufType read_type(Cursor& in, std::string_view key) {
  const auto type = in.number<std::uint32_t>("metadata type");
  if (type > static_cast<std::uint32_t>(GgufType::f64)) in.fail("{} has type {}, allowed are 0 to 12", printable(key), type);
  return static_cast<GgufType>(type);
}

bool read_bool(Cursor& in, std::string_view key) {
  const auto byte = in.number<std::uint8_t>("bool");
  if (byte > 1) in.fail("{} is a bool of value {}, allowed are 0 and 1", printable(key), byte);
  return byte == 1;
}

GgufArray read_array(Cursor& in, std::string_view key) {
  GgufArray array{.type = read_type(in, key), .count = in.number<std::uint64_t>("array length"), .bytes = {}, .strings = {}};
  if (array.type == GgufType::array) in.fail("{} is an array of arrays, which is not allowed", printable(key));
  // The smallest string is its 8 bytes of length: no count may ask for more memory than the file can fill.
  const std::uint64_t smallest = array.type == GgufType::string ? 8 : element_bytes(array.type);
  if (array.count > in.left() / smallest) {
    in.fail("{} has {} elements of at least {} bytes, the file has {} bytes left", printable(key), array.count, smallest,
            in.left());
  }
  if (array.type != GgufType::string) {
    array.bytes = in.take(array.count * smallest, "array");
    if (array.type == GgufType::boolean) {
      for (const std::byte b : array.bytes) {
        if (b > std::byte{1}) {
          in.fail("{} has a bool of value {}, allowed are 0 and 1", printable(key), std::to_integer<int>(b));
        }
      }
    }
    return array;
  }
  array.strings.reserve(array.count);
  for (std::uint64_t i = 0; i < array.count; ++i) array.strings.push_back(read_string(in, "array element", max_string));
  return array;
}

GgufValue read_value(Cursor& in, std::string_view key) {
  const GgufType type = read_type(in, key);
  switch (type) {
    case GgufType::u8:
      return {type, std::uint64_t{in.number<std::uint8_t>("value")}};
    case GgufType::u16:
      return {type, std::uint64_t{in.number<std::uint16_t>("value")}};
    case GgufType::u32:
      return {type, std::uint64_t{in.number<std::uint32_t>("value")}};
    case GgufType::u64:
      return {type, in.number<std::uint64_t>("value")};
    case GgufType::i8:
      return {type, std::int64_t{in.number<std::int8_t>("value")}};
    case GgufType::i16:
      return {type, std::int64_t{in.number<std::int16_t>("value")}};
    case GgufType::i32:
      return {type, std::int64_t{in.number<std::int32_t>("value")}};
    case GgufType::i64:
      return {type, in.number<std::int64_t>("value")};
    case GgufType::f32:
      return {type, static_cast<double>(in.number<float>("value"))};
    case GgufType::f64:
      return {type, in.number<double>("value")};
    case GgufType::boolean:
      return {type, read_bool(in, key)};
    case GgufType::string:
      return {type, read_string(in, key, max_string)};
    case GgufType::array:
      break;
  }
  return {type, read_array(in, key)};
}

Shape read_shape(Cursor& in, std::string_view tensor) {
  const auto count = in.number<std::uint32_t>("dimension count");
  if (count < 1 || count > max_dims) {
    in.fail("tensor '{}' has {} dimensions, allowed are 1 to {}", printable(tensor), count, max_dims);
  }
  Shape shape;
  shape.dims.reserve(count);
  std::uint64_t elements = 1;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto dim = in.number<std::uint64_t>("dimension");
    if (dim == 0 || dim > max_dim) {
      in.fail("tensor '{}' has dimension {}, allowed are 1 to {}", printable(tensor), dim, max_dim);
    }
    const auto product = checked_mul(elements, dim);
    if (!product || *product > std::uint64_t{1} << 62) in.fail("tensor '{}' has more than 2^62 elements", printable(tensor));
    elements = *product;
    shape.dims.push_back(static_cast<std::int64_t>(dim));
  }
  std::reverse(shape.dims.begin(), shape.dims.end());  // GGUF stores the fastest dimension first, we store it last
  return shape;
}

// Everything of a tensor but the place of its bytes; `offset` is relative to the data section for now.
GgufTensor read_tensor_entry(Cursor& in, std::uint64_t alignment) {
  GgufTensor tensor;
  tensor.name = read_string(in, "tensor name", max_tensor_name);
  if (tensor.name.empty()) in.fail("a tensor name is empty");
  if (!utf8_valid(tensor.name)) in.fail("tensor name '{}' is not UTF-8", printable(tensor.name));
  tensor.view.shape = read_shape(in, tensor.name);
  tensor.view.type = read_data_type(in, tensor.name);
  if (tensor.view.type != DataType::tl2) tensor_bytes(in, tensor);  // to name the place; id 39 may mean another type yet
  tensor.offset = in.number<std::uint64_t>("tensor offset");
  if (tensor.offset % alignment != 0) {
    in.fail("tensor '{}' has offset {}, which is not a multiple of the alignment {}", printable(tensor.name), tensor.offset,
            alignment);
  }
  return tensor;
}

std::uint64_t alignment_of(const GgufFile& file, const Cursor& in) {
  const GgufValue* value = file.find("general.alignment");
  if (value == nullptr) return 32;
  if (value->type != GgufType::u32) in.fail("general.alignment has type {}, it must be u32", name_of(value->type));
  const std::uint64_t alignment = std::get<std::uint64_t>(value->value);
  if (alignment < 8 || alignment > max_alignment || (alignment & (alignment - 1)) != 0) {
    in.fail("general.alignment is {}, allowed are powers of two from 8 to {}", alignment, max_alignment);
  }
  return alignment;
}

// Indices of `items` ordered by name; items of one name lie side by side.
template <class Item>
std::vector<std::uint32_t> order_by(const std::vector<Item>& items, std::string_view Item::* name) {
  std::vector<std::uint32_t> order(items.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return items[a].*name < items[b].*name; });
  return order;
}

// The name that two items share, if any do.
template <class Item>
std::optional<std::string_view> repeated(const std::vector<Item>& items, const std::vector<std::uint32_t>& order,
                                         std::string_view Item::* name) {
  for (std::size_t i = 1; i < order.size(); ++i) {
    if (items[order[i]].*name == items[order[i - 1]].*name) return items[order[i]].*name;
  }
  return std::nullopt;
}

}  // namespace

std::string_view name_of(GgufType type) {
  static constexpr std::string_view names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                               "bool", "string", "array", "u64", "i64", "f64"};
  return names[static_cast<std::size_t>(type)];
}

GgufFile GgufFile::open(const std::string& path) {
  GgufFile file(MappedFile::open(path));
  file.read();
  find_tilings(path, file.tensors_);
  return file;
}

void GgufFile::read() {
  Cursor in(map_.bytes(), path());
  const std::string_view magic = text_of(in.take(4, "magic"));
  if (magic != "GGUF") in.fail("the file begins with '{}', it does not begin with GGUF", printable(magic));
  version_ = in.number<std::uint32_t>("version");
  if (version_ == 0x02000000 || version_ == 0x03000000) {
    in.fail("the file is big-endian, only little-endian files are supported");
  }
  if (version_ != 2 && version_ != 3) in.fail("version is {}, supported are 2 and 3", version_);
  const auto tensor_count = in.number<std::uint64_t>("tensor count");
  const auto entry_count = in.number<std::uint64_t>("metadata count");
  check_count(in, "tensor", tensor_count, max_tensors, smallest_tensor);
  check_count(in, "metadata", entry_count, max_entries, smallest_entry);
  read_entries(in, entry_count);
  alignment_ = alignment_of(*this, in);
  read_tensors(in, tensor_count);
}

void GgufFile::read_entries(Cursor& in, std::uint64_t count) {
  entries_.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string_view key = read_key(in);
    const std::uint64_t start = in.at();
    GgufValue value = read_value(in, key);
    entries_.push_back({key, std::move(value), map_.bytes().subspan(start, in.at() - start)});
  }
  entry_order_ = order_by(entries_, &GgufEntry::key);
  if (const auto key = repeated(entries_, entry_order_, &GgufEntry::key)) {
    in.fail("metadata key '{}' appears twice", printable(*key));
  }
}

void GgufFile::read_tensors(Cursor& in, std::uint64_t count) {
  // Again: the metadata has used up bytes that were left before.
  check_count(in, "tensor", count, max_tensors, smallest_tensor);
  tensors_.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) tensors_.push_back(read_tensor_entry(in, alignment_));
  settle_shared_types(in, alignment_, tensors_);
  tensor_order_ = order_by(tensors_, &GgufTensor::name);
  if (const auto name = repeated(tensors_, tensor_order_, &GgufTensor::name)) {
    in.fail("tensor '{}' appears twice", printable(*name));
  }
  place_tensors(in);
  check_overlaps(in);
}

// Offsets count from the first aligned byte after the table; here they become places in the file, if the bytes are there.
void GgufFile::place_tensors(const Cursor& in) {
  const std::uint64_t start = *checked_round_up(in.at(), alignment_), end = map_.bytes().size();
  for (GgufTensor& tensor : tensors_) {
    const std::uint64_t size = tensor_bytes(in, tensor);
    const auto first = checked_add(start, tensor.offset);
    if (!first || *first > end || size > end - *first) {
      in.fail("tensor '{}' needs {} bytes at offset {} of the data, which starts at byte {} of {}", printable(tensor.name),
              size, tensor.offset, start, end);
    }
    tensor.offset = *first;
    tensor.view.bytes = map_.bytes().subspan(*first, size);
  }
}

void GgufFile::check_overlaps(const Cursor& in) const {
  std::vector<const GgufTensor*> by_offset;
  by_offset.reserve(tensors_.size());
  for (const GgufTensor& tensor : tensors_) by_offset.push_back(&tensor);
  std::sort(by_offset.begin(), by_offset.end(), [](const GgufTensor* a, const GgufTensor* b) { return a->offset < b->offset; });
  for (std::size_t i = 1; i < by_offset.size(); ++i) {
    const GgufTensor &before = *by_offset[i - 1], &after = *by_offset[i];
    if (before.offset + before.view.bytes.size() > after.offset) {
      in.fail("tensors '{}' and '{}' overlap at byte {}", printable(before.name), printable(after.name), after.offset);
    }
  }
}

}  // namespace bitnet
