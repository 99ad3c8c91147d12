// Type ids that two formats share are told apart by the bytes a tensor has.
#include "models/gguf_tensor_types.h"

#include <algorithm>

#include "common/checked.h"
#include "common/error.h"
#include "quantization/kernel_config.h"

namespace bitnet {
namespace {

// Names of type ids that GGUF files in circulation use and this build does not read (llama.cpp and its forks).
std::string_view foreign_type(std::uint32_t id) {
  struct Named {
    std::uint32_t id;
    std::string_view name;
  };
  static constexpr Named named[] = {
      {4, "Q4_2"},      {5, "Q4_3"},      {9, "Q8_1"},   {10, "Q2_K"},   {11, "Q3_K"},  {15, "Q8_K"},  {16, "IQ2_XXS"},
      {17, "IQ2_XS"},   {18, "IQ3_XXS"},  {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"}, {22, "IQ2_S"}, {23, "IQ4_XS"},
      {24, "I8"},       {25, "I16"},      {26, "I32"},   {27, "I64"},    {28, "F64"},   {29, "IQ1_M"}, {31, "Q4_0_4_4"},
      {32, "Q4_0_4_8"}, {33, "Q4_0_8_8"}, {37, "I8_S"},  {40, "NVFP4"},  {41, "Q1_0"},
  };
  for (const Named& type : named) {
    if (type.id == id) return type.name;
  }
  return "unknown";
}

// What the room of a tensor allows.
struct Room {
  std::uint64_t bytes;  // from its offset to the next tensor's, or to the end of the file
  bool last;            // where bytes after the tensor are allowed

  bool fits(std::optional<std::uint64_t> size, std::uint64_t alignment) const {
    return size && *size <= bytes && (last || bytes - *size < alignment);
  }
};

std::optional<std::uint64_t> size_as(DataType type, const Shape& shape) {
  return data_bytes(type, static_cast<std::uint64_t>(shape.elements()), static_cast<std::uint64_t>(shape.cols()));
}

std::optional<std::uint64_t> mxfp4_bytes(const Shape& shape) {
  const auto elements = static_cast<std::uint64_t>(shape.elements());
  return shape.cols() % 32 == 0 ? checked_mul(elements / 32, 17) : std::nullopt;
}

class Rooms {
 public:
  Rooms(const Cursor& in, std::uint64_t alignment, const std::vector<GgufTensor>& tensors) {
    const std::uint64_t file = in.at() + in.left(), start = checked_round_up(in.at(), alignment).value_or(file);
    end_ = file > start ? file - start : 0;
    for (const GgufTensor& tensor : tensors) offsets_.push_back(tensor.offset);
    std::sort(offsets_.begin(), offsets_.end());
  }
  Room of(const GgufTensor& tensor) const {
    const auto next = std::upper_bound(offsets_.begin(), offsets_.end(), tensor.offset);
    const bool last = next == offsets_.end();
    const std::uint64_t end = last ? end_ : *next;
    return {end > tensor.offset ? end - tensor.offset : 0, last};
  }

 private:
  std::vector<std::uint64_t> offsets_;
  std::uint64_t end_ = 0;
};

// The tensors of one shared id, sorted by what their room says.
struct Candidates {
  std::vector<GgufTensor*> first, second, unclear;
};

void settle_q2_0(Candidates& found) {
  const bool second = found.first.empty() && !found.second.empty();
  for (GgufTensor* tensor : found.second) tensor->view.type = DataType::q2_0_g128;
  for (GgufTensor* tensor : found.unclear) {
    if (second && tensor->view.shape.cols() % 128 == 0) tensor->view.type = DataType::q2_0_g128;
  }
}

void settle_tl2(const Cursor& in, const Rooms& rooms, const Candidates& found) {
  const bool all_tl2 = !found.first.empty() && found.second.empty();
  if (found.second.empty() && (found.unclear.empty() || all_tl2)) return;
  const GgufTensor& tensor = found.second.empty() ? *found.unclear.front() : *found.second.front();
  const auto tl2 = size_as(DataType::tl2, tensor.view.shape), mxfp4 = mxfp4_bytes(tensor.view.shape);
  const auto text = [](std::optional<std::uint64_t> size) {
    return size ? fmt::format("takes {}", *size) : "cannot have that shape";
  };
  in.fail("tensor '{}' has type 39, which is TL2 or MXFP4, shape {} and {} bytes: TL2 {}, MXFP4, which is not supported, {}",
          printable(tensor.name), tensor.view.shape.text(), rooms.of(tensor).bytes, text(tl2), text(mxfp4));
}

}  // namespace

DataType read_data_type(Cursor& in, std::string_view tensor) {
  const auto id = in.number<std::uint32_t>("tensor type");
  if (const std::optional<DataType> type = data_type_from_ggml(id)) return *type;
  std::string supported;
  for (const DataTypeInfo& type : data_types())
    fmt::format_to(std::back_inserter(supported), "{}{}", supported.empty() ? "" : ", ", type.name);
  in.fail("tensor '{}' has type {} ({}), supported are {}", printable(tensor), id, foreign_type(id), supported);
}

std::uint64_t tensor_bytes(const Cursor& in, const GgufTensor& tensor) {
  const DataType type = tensor.view.type;
  const Shape& shape = tensor.view.shape;
  if (const auto bytes = size_as(type, shape)) return *bytes;
  in.fail("tensor '{}' of type {} and shape {} is not {}", printable(tensor.name), info(type).name, shape.text(),
          whole_units(type));
}

void settle_shared_types(const Cursor& in, std::uint64_t alignment, std::vector<GgufTensor>& tensors) {
  const auto shared = [](const GgufTensor& t) { return t.view.type == DataType::q2_0 || t.view.type == DataType::tl2; };
  if (std::none_of(tensors.begin(), tensors.end(), shared)) return;
  const Rooms rooms(in, alignment, tensors);
  Candidates q2_0, tl2;
  for (GgufTensor& tensor : tensors) {
    if (!shared(tensor)) continue;
    const bool is_q2_0 = tensor.view.type == DataType::q2_0;
    const Shape& shape = tensor.view.shape;
    const Room room = rooms.of(tensor);
    const bool first = room.fits(size_as(tensor.view.type, shape), alignment);
    const bool second = room.fits(is_q2_0 ? size_as(DataType::q2_0_g128, shape) : mxfp4_bytes(shape), alignment);
    Candidates& found = is_q2_0 ? q2_0 : tl2;
    (first == second ? found.unclear : first ? found.first : found.second).push_back(&tensor);
  }
  settle_q2_0(q2_0);
  settle_tl2(in, rooms, tl2);
}

void find_tilings(const std::string& path, std::vector<GgufTensor>& tensors) {
  const auto tiled = [](const GgufTensor& t) { return t.view.type == DataType::tl1 || t.view.type == DataType::tl2; };
  if (std::none_of(tensors.begin(), tensors.end(), tiled)) return;
  std::optional<KernelConfig> config;
  try {
    config = KernelConfig::open(KernelConfig::path_beside(path));
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::not_found) return;
    throw;
  }
  for (GgufTensor& tensor : tensors) {
    if (tiled(tensor)) tensor.view.tiling = config->find(tensor.view.shape.rows(), tensor.view.shape.cols());
  }
}

}  // namespace bitnet
