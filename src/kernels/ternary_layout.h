// Writes rows of ternary codes into the kernels' internal layout (TernaryMatrix).
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

namespace bitnet {

// Bytes of TernaryMatrix::lines for `rows` by `cols` weights, the columns rounded up to whole lines.
std::int64_t ternary_lines_bytes(std::int64_t rows, std::int64_t cols);

// Packs one row of codes (cols; weight + 1, each 0 to 2) as row `row` of `lines`; columns added as padding become zeros.
void pack_ternary_row(const std::uint8_t* codes, std::int64_t cols, std::int64_t row, std::uint8_t* lines);

// Writes the lines of the transposed matrix for the inputs in lines [begin, end) of w's rows: row j of `turned` (cols of w by
// rows of w, rounded up to lines) holds the weights of input j for every output.
void turn_ternary_over(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, std::uint8_t* turned);

}  // namespace bitnet
