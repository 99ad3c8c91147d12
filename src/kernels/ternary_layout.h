// Writes rows of ternary codes into the kernels' internal layout (TernaryMatrix).
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

namespace bitnet {

// Bytes of TernaryMatrix::lines for `rows` by `cols` weights, both rounded up as the layout wants.
std::int64_t ternary_lines_bytes(std::int64_t rows, std::int64_t cols);

// Packs one row of codes (cols; weight + 1, each 0 to 2) as row `row` of `lines`; columns added as padding become zeros.
void pack_ternary_row(const std::uint8_t* codes, std::int64_t cols, std::int64_t row, std::uint8_t* lines);

// Makes a row of the padding zero.
void clear_ternary_row(std::int64_t cols, std::int64_t row, std::uint8_t* lines);

}  // namespace bitnet
