// Looks up metadata and tensors by name, in the type the caller wants.
#include <algorithm>

#include "common/cursor.h"
#include "models/gguf_reader.h"

namespace bitnet {
namespace {

// Null when there is none.
template <class Item>
const Item* find_by(const std::vector<Item>& items, const std::vector<std::uint32_t>& order, std::string_view Item::* name,
                    std::string_view wanted) {
  const auto at = std::lower_bound(order.begin(), order.end(), wanted,
                                   [&](std::uint32_t i, std::string_view w) { return items[i].*name < w; });
  return at == order.end() || items[*at].*name != wanted ? nullptr : &items[*at];
}

[[noreturn]] void wrong_type(const GgufFile& file, std::string_view key, const GgufValue& value, std::string_view wanted) {
  fail(ErrorKind::bad_model, "{}: {} has type {}, it must be {}", printable(file.path(), 512), printable(key),
       name_of(value.type), wanted);
}

template <class T>
T element(std::span<const std::byte> bytes, std::uint64_t index) {
  Cursor in(bytes.subspan(index * sizeof(T), sizeof(T)), "array");
  return in.number<T>("element");
}

// Narrower elements are left out: no converter writes them, and widened they would take 8 times the file's bytes.
bool is_integer(GgufType type) {
  return type == GgufType::u32 || type == GgufType::i32 || type == GgufType::u64 || type == GgufType::i64;
}

std::int64_t integer_element(const GgufArray& array, std::uint64_t i) {
  switch (array.type) {
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

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  return find_by(tensors_, tensor_order_, &GgufTensor::name, name);
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const GgufEntry* entry = find_by(entries_, entry_order_, &GgufEntry::key, key);
  return entry == nullptr ? nullptr : &entry->value;
}

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
  const GgufArray* array = find_array(*this, key, is_integer, "an array of integers of 32 or 64 bits");
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
