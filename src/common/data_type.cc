// The table of data types (sizes: ggml-common.h of llama.cpp for the ggml types, ik_llama.cpp for IQ1_BN and IQ2_BN, PrismML's
// llama.cpp for PQ2_0 and PTQ1_0, bitnet.cpp for I2_S, TL1 and TL2).
#include "common/data_type.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/checked.h"

namespace bitnet {
namespace {

constexpr std::array<DataTypeInfo, 24> types = {{
    {DataType::f32, "F32", 0, 1, 4, 0, 0, false, true},
    {DataType::f16, "F16", 1, 1, 2, 0, 0, false, true},
    {DataType::bf16, "BF16", 30, 1, 2, 0, 0, false, true},
    {DataType::i2_s, "I2_S", 36, 128, 32, 0, 32, true, false},
    {DataType::tq1_0, "TQ1_0", 34, 256, 54, 0, 0, true, true},
    {DataType::tq2_0, "TQ2_0", 35, 256, 66, 0, 0, true, true},
    {DataType::q8_0, "Q8_0", 8, 32, 34, 0, 0, false, true},
    {DataType::q4_0, "Q4_0", 2, 32, 18, 0, 0, false, true},
    {DataType::q4_1, "Q4_1", 3, 32, 20, 0, 0, false, true},
    {DataType::q5_0, "Q5_0", 6, 32, 22, 0, 0, false, true},
    {DataType::q5_1, "Q5_1", 7, 32, 24, 0, 0, false, true},
    {DataType::q4_k, "Q4_K", 12, 256, 144, 0, 0, false, true},
    {DataType::q5_k, "Q5_K", 13, 256, 176, 0, 0, false, true},
    {DataType::q6_k, "Q6_K", 14, 256, 210, 0, 0, false, true},
    {DataType::iq1_bn, "IQ1_BN", 134, 64, 13, 2, 0, true, true},
    {DataType::iq2_bn, "IQ2_BN", 135, 64, 16, 4, 0, true, true},
    {DataType::iq2_bn_r4, "IQ2_BN_R4", 335, 64, 16, 4, 0, true, false},
    {DataType::q2_0, "Q2_0", 42, 64, 18, 0, 0, true, true},
    {DataType::q2_0_g128, "Q2_0_G128", 42, 128, 34, 0, 0, true, true},
    {DataType::pq2_0, "PQ2_0", 142, 128, 34, 0, 0, true, true},
    {DataType::ptq1_0, "PTQ1_0", 143, 128, 28, 0, 0, true, true},
    {DataType::tl1, "TL1", 38, 128, 32, 0, 32, true, false},
    {DataType::tl2, "TL2", 39, 1, 0, 0, 32, true, false},  // its size is no multiple of a block's: tl2_bytes
    {DataType::hf_packed, "HF_PACKED", std::nullopt, 4, 1, 0, 0, true, false},
}};

constexpr bool runs_through_tensor(DataType type) {
  return type == DataType::i2_s || type == DataType::tl1 || type == DataType::hf_packed;
}

// The code bytes that bitnet.cpp reserves: as if 256 columns of a row were stored as pairs and the others as triples, whatever
// the tiles make of it.
std::optional<std::uint64_t> tl2_bytes(std::uint64_t rows, std::uint64_t cols) {
  if (cols < 256) return std::nullopt;
  const auto triples = checked_mul(cols - 256, rows), pairs = checked_mul(256, rows);
  if (!triples || !pairs) return std::nullopt;
  const auto triple_bytes = checked_mul(*triples / 3, 5), pair_bytes = checked_mul(*pairs / 2, 4);
  if (!triple_bytes || !pair_bytes) return std::nullopt;
  const auto codes = checked_add(*triple_bytes / 8, *pair_bytes / 8);
  const auto padded = codes ? checked_round_up(*codes, 32) : std::nullopt;
  return padded ? checked_add(*padded, 32) : std::nullopt;
}

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

}  // namespace

std::span<const DataTypeInfo> data_types() { return types; }

const DataTypeInfo& info(DataType type) { return types[static_cast<std::size_t>(type)]; }

std::optional<DataType> data_type_from_ggml(std::uint32_t ggml_id) {
  for (const DataTypeInfo& t : types) {
    if (t.ggml_id == ggml_id) return t.type;
  }
  return std::nullopt;
}

std::optional<DataType> data_type_from_name(std::string_view name) {
  for (const DataTypeInfo& t : types) {
    if (std::equal(name.begin(), name.end(), t.name.begin(), t.name.end(), [](char a, char b) { return upper(a) == b; })) {
      return t.type;
    }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> data_bytes(DataType type, std::uint64_t elements, std::uint64_t cols) {
  const DataTypeInfo& t = info(type);
  const auto block = static_cast<std::uint64_t>(t.block);
  if ((runs_through_tensor(type) ? elements : cols) % block != 0) return std::nullopt;
  const std::uint64_t rows = elements / cols;
  if (type == DataType::iq2_bn_r4 && rows % 4 != 0) return std::nullopt;
  if (type == DataType::tl2) return tl2_bytes(rows, cols);
  const auto body = checked_mul(elements / block, static_cast<std::uint64_t>(t.block_bytes));
  const auto heads = checked_mul(rows, static_cast<std::uint64_t>(t.head_bytes));
  const auto all = body && heads ? checked_add(*body, *heads) : std::nullopt;
  return all ? checked_add(*all, static_cast<std::uint64_t>(t.tail_bytes)) : std::nullopt;
}

std::string whole_units(DataType type) {
  const std::int64_t block = info(type).block;
  if (type == DataType::tl2) return "rows of at least 256 weights";
  if (runs_through_tensor(type)) return fmt::format("a tensor of whole blocks of {} weights", block);
  if (type == DataType::iq2_bn_r4) return fmt::format("rows of whole blocks of {} weights, four at a time", block);
  return fmt::format("rows of whole blocks of {} weights", block);
}

}  // namespace bitnet
