// DataType: how the elements of a stored tensor are encoded, with block sizes (byte layouts: docs/formats.md).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
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
  iq1_bn,
  iq2_bn,
  iq2_bn_r4,  // ternary, one scale per row
  q2_0,
  q2_0_g128,
  pq2_0,
  ptq1_0,  // ternary, one scale per 64 (Q2_0) or 128 weights
  tl1,
  tl2,        // ternary, one scale per tensor, in tiles that a kernel configuration defines
  hf_packed,  // ternary as HuggingFace folders pack it: a byte holds one column of four rows; no scale of its own
};

struct DataTypeInfo {
  DataType type;
  std::string_view name;  // as users write it: "I2_S"
  // The id in a GGUF file; Q2_0 and Q2_0_G128 share one, and so do TL2 and MXFP4, which we do not read. nullopt: never in one.
  std::optional<std::uint32_t> ggml_id;
  std::int64_t block;  // weights per block; a row holds whole blocks, for I2_S, TL1 and HF_PACKED the whole tensor does
  std::int64_t block_bytes;
  std::int64_t head_bytes;  // before the blocks of every row
  std::int64_t tail_bytes;  // once per tensor, after all rows
  bool ternary;
  bool rows_apart;  // a row lies by itself: it can be decoded without the others
};

std::span<const DataTypeInfo> data_types();  // in the order of DataType
const DataTypeInfo& info(DataType type);
std::optional<DataType> data_type_from_ggml(std::uint32_t ggml_id);  // of a shared id the first: Q2_0, TL2
std::optional<DataType> data_type_from_name(std::string_view name);  // capital letters or small ones

// Bytes of a tensor of `elements` weights whose rows hold `cols`; nullopt when the type cannot hold the shape (whole_units says
// what it wants) or the size does not fit 64 bits.
std::optional<std::uint64_t> data_bytes(DataType type, std::uint64_t elements, std::uint64_t cols);

// What a shape must be whole numbers of: "rows of whole blocks of 256 weights".
std::string whole_units(DataType type);

}  // namespace bitnet
