// Parses and checks the container: header, metadata, tensor table.
#include "models/gguf_reader.h"

#include <algorithm>
#include <cmath>

#include "common/checked.h"
#include "common/cursor.h"
#include "common/utf8.h"

namespace bitnet {
namespace {

// Limits of what a sane file can hold; each is far above anything published.
constexpr std::uint64_t max_entries = 1u << 16, max_tensors = 1u << 20, max_key = 1u << 16, max_string = 16u << 20;
constexpr std::uint64_t max_tensor_name = 256, max_dim = std::uint64_t{1} << 40, max_alignment = 1u << 20;
constexpr std::uint32_t max_dims = 4;

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
  const auto length = in.number<std::uint64_t>(fmt::format("length of {}", what));
  if (length > limit) in.fail("{} has a length of {}, at most {} are allowed", what, length, limit);
  return text_of(in.take(length, what));
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
        if (b > std::byte{1})
          in.fail("{} has a bool of value {}, allowed are 0 and 1", printable(key), std::to_integer<int>(b));
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
  if (count < 1 || count > max_dims)
    in.fail("tensor '{}' has {} dimensions, allowed are 1 to {}", printable(tensor), count, max_dims);
  Shape shape;
  std::uint64_t elements = 1;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto dim = in.number<std::uint64_t>("dimension");
    if (dim == 0 || dim > max_dim)
      in.fail("tensor '{}' has dimension {}, allowed are 1 to {}", printable(tensor), dim, max_dim);
    const auto product = checked_mul(elements, dim);
    if (!product || *product > std::uint64_t{1} << 62) in.fail("tensor '{}' has more than 2^62 elements", printable(tensor));
    elements = *product;
    shape.dims.push_back(static_cast<std::int64_t>(dim));
  }
  std::reverse(shape.dims.begin(), shape.dims.end());  // GGUF stores the fastest dimension first, we store it last
  return shape;
}

// Everything of a tensor but the place of its bytes; `offset` is relative to the data section for now.
GgufTensor read_tensor_entry(Cursor& in, std::uint64_t alignment, std::uint64_t& size) {
  GgufTensor tensor;
  tensor.name = read_string(in, "tensor name", max_tensor_name);
  if (tensor.name.empty()) in.fail("a tensor name is empty");
  if (!utf8_valid(tensor.name)) in.fail("tensor name '{}' is not UTF-8", printable(tensor.name));
  tensor.view.shape = read_shape(in, tensor.name);
  const auto id = in.number<std::uint32_t>("tensor type");
  const std::optional<DataType> type = data_type_from_ggml(id);
  if (!type) in.fail("tensor '{}' has type {}, which is not supported", printable(tensor.name), id);
  tensor.view.type = *type;
  const Shape& shape = tensor.view.shape;
  const auto bytes = data_bytes(*type, static_cast<std::uint64_t>(shape.elements()), static_cast<std::uint64_t>(shape.cols()));
  if (!bytes) {
    in.fail("tensor '{}' of type {} and shape {} is not whole blocks of {} weights", printable(tensor.name), info(*type).name,
            shape.text(), info(*type).block);
  }
  size = *bytes;
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

}  // namespace

std::string_view name_of(GgufType type) {
  static constexpr std::string_view names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                               "bool", "string", "array", "u64", "i64", "f64"};
  return names[static_cast<std::size_t>(type)];
}

GgufFile GgufFile::open(const std::string& path) {
  GgufFile file(MappedFile::open(path));
  file.read();
  return file;
}

void GgufFile::read() {
  Cursor in(map_.bytes(), path());
  const std::string_view magic = text_of(in.take(4, "magic"));
  if (magic != "GGUF") in.fail("the file does not begin with GGUF");
  version_ = in.number<std::uint32_t>("version");
  if (version_ == 0x02000000 || version_ == 0x03000000)
    in.fail("the file is big-endian, only little-endian files are supported");
  if (version_ != 2 && version_ != 3) in.fail("version is {}, supported are 2 and 3", version_);
  const auto tensor_count = in.number<std::uint64_t>("tensor count");
  const auto entry_count = in.number<std::uint64_t>("metadata count");
  if (tensor_count > max_tensors || tensor_count > in.left() / 24)
    in.fail("tensor count is {}, the file has {} bytes left for them (at most {} are allowed)", tensor_count, in.left(),
            max_tensors);
  if (entry_count > max_entries || entry_count > in.left() / 13)
    in.fail("metadata count is {}, the file has {} bytes left for it (at most {} are allowed)", entry_count, in.left(),
            max_entries);
  read_entries(in, entry_count);
  if (const auto parts = find_unsigned("split.count"); parts && *parts > 1) {
    fail(ErrorKind::unsupported, "{}: is one of {} parts of a split model, which this build cannot load",
         printable(path(), 512), *parts);
  }
  alignment_ = alignment_of(*this, in);
  read_tensors(in, tensor_count);
}

void GgufFile::read_entries(Cursor& in, std::uint64_t count) {
  entries_.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string_view key = read_key(in);
    if (!entry_index_.emplace(key, entries_.size()).second) in.fail("metadata key '{}' appears twice", printable(key));
    entries_.push_back({key, read_value(in, key)});
  }
}

void GgufFile::read_tensors(Cursor& in, std::uint64_t count) {
  std::vector<std::uint64_t> sizes(count);
  tensors_.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    tensors_.push_back(read_tensor_entry(in, alignment_, sizes[i]));
    const std::string_view name = tensors_.back().name;
    if (!tensor_index_.emplace(name, i).second) in.fail("tensor '{}' appears twice", printable(name));
  }
  const std::uint64_t start = *checked_round_up(in.at(), alignment_), end = map_.bytes().size();
  for (std::uint64_t i = 0; i < count; ++i) {
    GgufTensor& tensor = tensors_[i];
    const auto first = checked_add(start, tensor.offset);
    if (!first || *first > end || sizes[i] > end - *first) {
      in.fail("tensor '{}' needs {} bytes at offset {} of the data, which starts at byte {} of {}", printable(tensor.name),
              sizes[i], tensor.offset, start, end);
    }
    tensor.offset = *first;
    tensor.view.bytes = map_.bytes().subspan(*first, sizes[i]);
  }
  check_overlaps(in);
}

void GgufFile::check_overlaps(const Cursor& in) const {
  std::vector<const GgufTensor*> by_offset;
  for (const GgufTensor& tensor : tensors_) by_offset.push_back(&tensor);
  std::sort(by_offset.begin(), by_offset.end(), [](const GgufTensor* a, const GgufTensor* b) { return a->offset < b->offset; });
  for (std::size_t i = 1; i < by_offset.size(); ++i) {
    const GgufTensor &before = *by_offset[i - 1], &after = *by_offset[i];
    if (before.offset + before.view.bytes.size() > after.offset) {
      in.fail("tensors '{}' and '{}' overlap at byte {}", printable(before.name), printable(after.name), after.offset);
    }
  }
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto found = entry_index_.find(key);
  return found == entry_index_.end() ? nullptr : &entries_[found->second].value;
}

namespace {

[[noreturn]] void wrong_type(const GgufFile& file, std::string_view key, const GgufValue& value, std::string_view wanted) {
  fail(ErrorKind::bad_model, "{}: {} has type {}, it must be {}", printable(file.path(), 512), printable(key),
       name_of(value.type), wanted);
}

template <class T>
T element(std::span<const std::byte> bytes, std::uint64_t index) {
  Cursor in(bytes.subspan(index * sizeof(T), sizeof(T)), "array");
  return in.number<T>("element");
}

std::int64_t integer_element(const GgufArray& array, std::uint64_t i) {
  switch (array.type) {
    case GgufType::u8:
    case GgufType::boolean:
      return element<std::uint8_t>(array.bytes, i);
    case GgufType::i8:
      return element<std::int8_t>(array.bytes, i);
    case GgufType::u16:
      return element<std::uint16_t>(array.bytes, i);
    case GgufType::i16:
      return element<std::int16_t>(array.bytes, i);
    case GgufType::u32:
      return element<std::uint32_t>(array.bytes, i);
    case GgufType::i32:
      return element<std::int32_t>(array.bytes, i);
    default:
      return element<std::int64_t>(array.bytes, i);
  }
}

bool is_float(GgufType type) { return type == GgufType::f32 || type == GgufType::f64; }

// The array at a key, or null when the key is absent.
const GgufArray* find_array(const GgufFile& file, std::string_view key, bool (*accepts)(GgufType), std::string_view wanted) {
  const GgufValue* value = file.find(key);
  if (value == nullptr) return nullptr;
  const auto* array = std::get_if<GgufArray>(&value->value);
  if (array == nullptr || !accepts(array->type)) wrong_type(file, key, *value, wanted);
  return array;
}

}  // namespace

std::optional<std::uint64_t> GgufFile::find_unsigned(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* u = std::get_if<std::uint64_t>(&value->value)) return *u;
  const auto* i = std::get_if<std::int64_t>(&value->value);
  if (i == nullptr) wrong_type(*this, key, *value, "an integer");
  if (*i < 0) fail(ErrorKind::bad_model, "{}: {} is {}, it must not be negative", printable(path(), 512), printable(key), *i);
  return static_cast<std::uint64_t>(*i);
}

std::optional<double> GgufFile::find_number(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* d = std::get_if<double>(&value->value)) return *d;
  if (const auto* u = std::get_if<std::uint64_t>(&value->value)) return static_cast<double>(*u);
  if (const auto* i = std::get_if<std::int64_t>(&value->value)) return static_cast<double>(*i);
  wrong_type(*this, key, *value, "a number");
}

std::optional<bool> GgufFile::find_bool(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* b = std::get_if<bool>(&value->value);
  if (b == nullptr) wrong_type(*this, key, *value, "a bool");
  return *b;
}

std::optional<std::string_view> GgufFile::find_string(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* s = std::get_if<std::string_view>(&value->value);
  if (s == nullptr) wrong_type(*this, key, *value, "a string");
  return *s;
}

const std::vector<std::string_view>& GgufFile::find_strings(std::string_view key) const {
  static const std::vector<std::string_view> none;
  const GgufArray* array = find_array(*this, key, [](GgufType t) { return t == GgufType::string; }, "an array of strings");
  return array == nullptr ? none : array->strings;
}

std::vector<std::int64_t> GgufFile::find_integers(std::string_view key) const {
  const GgufArray* array =
      find_array(*this, key, [](GgufType t) { return !is_float(t) && t != GgufType::string; }, "an array of integers");
  std::vector<std::int64_t> out(array == nullptr ? 0 : array->count);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = integer_element(*array, i);
  return out;
}

std::vector<float> GgufFile::find_floats(std::string_view key) const {
  const GgufArray* array = find_array(*this, key, is_float, "an array of floats");
  std::vector<float> out(array == nullptr ? 0 : array->count);
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] =
        array->type == GgufType::f32 ? element<float>(array->bytes, i) : static_cast<float>(element<double>(array->bytes, i));
  }
  return out;
}

}  // namespace bitnet
