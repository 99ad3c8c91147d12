// A stored matrix read as ternary codes: which tensors are ternary, with which scale, and their rows unpacked.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "common/shape.h"

namespace bitnet {

// weight = (code - 1) * scale with code 0, 1 or 2, one scale for the whole tensor.
//
// I2_S always is. TQ1_0 and TQ2_0 are when all their non-zero block scales are the same; F32, F16 and BF16 when every weight is
// -s, 0 or s (how converters store a ternary model whose type they do not know). Anything else gives nullopt: use it as a dense
// matrix. The tensor's bytes are not read again by this value's users other than through unpack_row. Throws Error{bad_model}
// naming the tensor for a scale that is not finite.
std::optional<float> ternary_scale(const TensorView& tensor, std::string_view name);

// Codes (cols) of one row of a tensor for which ternary_scale has a value. Throws Error{bad_model} for a code of 3. Safe to
// call from several threads on different rows.
void unpack_row(const TensorView& tensor, std::string_view name, std::int64_t row, std::uint8_t* codes);

}  // namespace bitnet
