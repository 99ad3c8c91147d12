// DataType: how the elements of a stored tensor are encoded, with block sizes (byte layouts: docs/formats.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bitnet {

enum class DataType : std::uint8_t {
  f32,
  f16,
  bf16,
  i2_s,  // ternary, one scale per tensor
  tq1_0,
  tq2_0,  // ternary, one scale per 256 weights
  q8_0,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q4_k,
  q5_k,
  q6_k,  // dense block formats
};

struct DataTypeInfo {
  DataType type;
  std::string_view name;  // as users write it: "I2_S"
  std::uint32_t ggml_id;  // the id in a GGUF file
  std::int64_t block;     // weights per block; a row holds whole blocks, for I2_S the whole tensor does
  std::int64_t block_bytes;
  std::int64_t tail_bytes;  // once per tensor, after all rows
  bool ternary;
};

const DataTypeInfo& info(DataType type);
std::optional<DataType> data_type_from_ggml(std::uint32_t ggml_id);

// Bytes of a tensor of `elements` weights whose rows hold `cols`; nullopt when rows (I2_S: the tensor) are not whole blocks or
// the size does not fit 64 bits.
std::optional<std::uint64_t> data_bytes(DataType type, std::uint64_t elements, std::uint64_t cols);

}  // namespace bitnet
