// Lays out a SafeTensors file.
#include "models/safetensors_writer.h"

#include <nlohmann/json.hpp>

namespace bitnet {
namespace {

std::uint64_t element_bytes(std::string_view dtype) { return dtype == "F32" ? 4 : dtype == "U8" ? 1 : 2; }

}  // namespace

std::uint64_t NewSafetensor::bytes() const {
  std::uint64_t total = element_bytes(dtype);
  for (const std::int64_t dim : shape) total *= static_cast<std::uint64_t>(dim);
  return total;
}

FileLayout safetensors_layout(std::span<const NewSafetensor> tensors) {
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  FileLayout layout;
  std::uint64_t offset = 0;
  for (const NewSafetensor& tensor : tensors) {
    const std::uint64_t bytes = tensor.bytes();
    header[tensor.name] = {{"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + bytes}}};
    layout.tensors.push_back({offset, bytes});
    offset += bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  for (int i = 0; i < 8; ++i) layout.head += static_cast<char>(std::uint64_t{text.size()} >> (8 * i) & 0xff);
  layout.head += text;
  for (FileLayout::Place& place : layout.tensors) place.offset += layout.head.size();
  layout.file_bytes = layout.head.size() + offset;
  return layout;
}

}  // namespace bitnet
