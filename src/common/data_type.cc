// The table of data types (sizes: ggml-common.h of llama.cpp for the ggml types, bitnet.cpp for I2_S).
#include "common/data_type.h"

#include <array>

#include "common/checked.h"

namespace bitnet {
namespace {

constexpr std::array<DataTypeInfo, 14> types = {{
    {DataType::f32, "F32", 0, 1, 4, 0, false},
    {DataType::f16, "F16", 1, 1, 2, 0, false},
    {DataType::bf16, "BF16", 30, 1, 2, 0, false},
    {DataType::i2_s, "I2_S", 36, 128, 32, 32, true},
    {DataType::tq1_0, "TQ1_0", 34, 256, 54, 0, true},
    {DataType::tq2_0, "TQ2_0", 35, 256, 66, 0, true},
    {DataType::q8_0, "Q8_0", 8, 32, 34, 0, false},
    {DataType::q4_0, "Q4_0", 2, 32, 18, 0, false},
    {DataType::q4_1, "Q4_1", 3, 32, 20, 0, false},
    {DataType::q5_0, "Q5_0", 6, 32, 22, 0, false},
    {DataType::q5_1, "Q5_1", 7, 32, 24, 0, false},
    {DataType::q4_k, "Q4_K", 12, 256, 144, 0, false},
    {DataType::q5_k, "Q5_K", 13, 256, 176, 0, false},
    {DataType::q6_k, "Q6_K", 14, 256, 210, 0, false},
}};

}  // namespace

const DataTypeInfo& info(DataType type) { return types[static_cast<std::size_t>(type)]; }

std::optional<DataType> data_type_from_ggml(std::uint32_t ggml_id) {
  for (const DataTypeInfo& t : types) {
    if (t.ggml_id == ggml_id) return t.type;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> data_bytes(DataType type, std::uint64_t elements, std::uint64_t cols) {
  const DataTypeInfo& t = info(type);
  const auto block = static_cast<std::uint64_t>(t.block);
  // I2_S packs the tensor as one run of weights, so only its total must be whole blocks.
  if ((type == DataType::i2_s ? elements : cols) % block != 0) return std::nullopt;
  const auto body = checked_mul(elements / block, static_cast<std::uint64_t>(t.block_bytes));
  return body ? checked_add(*body, static_cast<std::uint64_t>(t.tail_bytes)) : std::nullopt;
}

}  // namespace bitnet
