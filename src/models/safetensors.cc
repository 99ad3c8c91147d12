// Parses and checks the container: header length, JSON header, and the places of the tensors.
#include "models/safetensors.h"

#include <algorithm>
#include <tuple>

#include "common/checked.h"
#include "common/cursor.h"
#include "models/safetensors_header.h"

namespace bitnet {
namespace {

constexpr std::uint64_t max_header = 100'000'000;  // as the format's own library
constexpr std::uint64_t max_elements = std::uint64_t{1} << 58;

struct Dtype {
  std::string_view name;
  std::uint64_t bits;
  std::optional<DataType> data_type;
};

// Every dtype of the format, whether anything here computes with it or not.
constexpr Dtype dtypes[] = {
    {"F32", 32, DataType::f32},
    {"F16", 16, DataType::f16},
    {"BF16", 16, DataType::bf16},
    {"BOOL", 8, {}},
    {"U8", 8, {}},
    {"I8", 8, {}},
    {"U16", 16, {}},
    {"I16", 16, {}},
    {"U32", 32, {}},
    {"I32", 32, {}},
    {"U64", 64, {}},
    {"I64", 64, {}},
    {"F64", 64, {}},
    {"C64", 64, {}},
    {"F8_E5M2", 8, {}},
    {"F8_E4M3", 8, {}},
    {"F8_E8M0", 8, {}},
    {"F8_E5M2FNUZ", 8, {}},
    {"F8_E4M3FNUZ", 8, {}},
    {"F6_E2M3", 6, {}},
    {"F6_E3M2", 6, {}},
    {"F4", 4, {}},
};

const Dtype& find_dtype(const Cursor& in, const SafetensorsEntry& entry) {
  for (const Dtype& dtype : dtypes) {
    if (dtype.name == entry.dtype) return dtype;
  }
  in.fail("tensor '{}' has dtype '{}', which the format does not know", printable(entry.name), printable(entry.dtype));
}

// Bytes that dtype and shape need; the shape is moved into the tensor.
std::uint64_t describe(const Cursor& in, const SafetensorsEntry& entry, SafetensorsTensor& tensor) {
  const Dtype& dtype = find_dtype(in, entry);
  std::optional<std::uint64_t> elements = 1;
  for (const std::uint64_t dim : entry.shape) {
    elements = checked_mul(*elements, dim);
    if (!elements || *elements > max_elements || dim > max_elements) {
      in.fail("tensor '{}' has more than 2^58 elements", printable(entry.name));
    }
    tensor.shape.dims.push_back(static_cast<std::int64_t>(dim));
  }
  const std::uint64_t bits = *elements * dtype.bits;
  if (bits % 8 != 0) in.fail("tensor '{}' of dtype {} does not end with a whole byte", printable(entry.name), dtype.name);
  tensor.dtype = dtype.name, tensor.data_type = dtype.data_type;
  return bits / 8;
}

// `in` stands at the first byte of the data, of which tensors before this one cover `covered`.
SafetensorsTensor place(const Cursor& in, std::span<const std::byte> data, std::uint64_t covered, SafetensorsEntry entry) {
  SafetensorsTensor tensor;
  const std::uint64_t size = describe(in, entry, tensor);
  const std::string name = printable(entry.name);
  if (entry.begin > entry.end || entry.end > data.size()) {
    in.fail("tensor '{}' has data_offsets {} to {}, the data has {} bytes", name, entry.begin, entry.end, data.size());
  }
  if (entry.begin != covered) {
    in.fail("tensor '{}' begins at byte {} of the data, the tensors before it end at {}: {} are not allowed", name, entry.begin,
            covered, entry.begin < covered ? "overlaps" : "holes");
  }
  if (entry.end - entry.begin != size) {
    in.fail("tensor '{}' of dtype {} and shape {} needs {} bytes, its data_offsets hold {}", name, tensor.dtype,
            tensor.shape.text(), size, entry.end - entry.begin);
  }
  tensor.name = std::move(entry.name), tensor.offset = in.at() + entry.begin;
  tensor.bytes = data.subspan(entry.begin, size);
  return tensor;
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::string& path) {
  SafetensorsFile file(MappedFile::open(path));
  file.read();
  return file;
}

void SafetensorsFile::read() {
  Cursor in(map_.bytes(), path());
  const auto length = in.number<std::uint64_t>("header length");
  if (length > max_header) in.fail("header length is {}, at most {} are allowed", length, max_header);
  const auto bytes = in.take(length, "header");
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with('{')) in.fail("the header begins with '{}', it must begin with '{{'", printable(text.substr(0, 1)));
  SafetensorsHeader header = parse_safetensors_header(text, path());
  metadata_ = std::move(header.metadata);
  // A stable order for tensors without bytes, which may share an offset with others.
  std::sort(header.entries.begin(), header.entries.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  const std::span<const std::byte> data = map_.bytes().subspan(in.at());
  std::uint64_t covered = 0;
  tensors_.reserve(header.entries.size());
  for (SafetensorsEntry& entry : header.entries) {
    tensors_.push_back(place(in, data, covered, std::move(entry)));
    covered += tensors_.back().bytes.size();
  }
  if (covered != data.size()) in.fail("the tensors cover {} bytes of the data, which has {}", covered, data.size());
}

}  // namespace bitnet
