// A stored matrix read as ternary codes: which tensors are ternary, with which scales, and their rows unpacked.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "common/shape.h"

namespace bitnet {

// Which weights share a scale: all, those of a row, or each 64, 128 or 256 consecutive ones of a row.
enum class ScalePer : std::uint8_t { tensor, row, block64, block128, block256 };
std::string_view name_of(ScalePer per);  // "tensor", "row", "block of 64 weights", ...

// How many scales a row of `cols` weights has of its own: 0 for one a tensor. Blocks divide the row.
std::int64_t scales_per_row(ScalePer per, std::int64_t cols);

// Which weights share a scale as `type` stores them; nullopt for types that are not packed ternary ones.
std::optional<ScalePer> stored_per(DataType type);

// weight = (code - 1) * scale with code 0, 1 or 2.
struct TernaryScales {
  ScalePer per = ScalePer::tensor;
  std::vector<float> values;  // (1) for a tensor, (rows) or (rows, blocks); finite and not negative, but for I2_S as stored
};

// The scales of a ternary matrix, as few as tell everything: one for the tensor where all are the same, one for each row where
// those of a row are, else one for each block, of the most weights that will do. Zero scales count as any: their weights are
// zero, whatever the codes say.
//
// The packed ternary types are ternary unless a scale within a row is negative, and in Q2_0 and PQ2_0 unless there is a code 3,
// which means +2 there; HF_PACKED with a scale of 1; F32, F16 and BF16 when every weight is -s, 0 or s (how
// converters store a ternary model whose type they do not know). Anything else gives nullopt: use it as a dense matrix. Throws
// Error{bad_model} naming the tensor for a scale that is not finite, for a negative one of a row, and for TL1 and TL2 without
// their tiling.
std::optional<TernaryScales> ternary_scales(const TensorView& tensor, std::string_view name);

// Codes (cols) of one row of a tensor for which ternary_scales has a value. Throws Error{bad_model} for what is no
// ternary code. Safe to
// call from several threads on different rows.
void unpack_row(const TensorView& tensor, std::string_view name, std::int64_t row, std::uint8_t* codes);

}  // namespace bitnet
