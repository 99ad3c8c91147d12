// Parts rows of int8 into what a scan reads of every row, six high bits, and what it reads of few, two low ones.
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

namespace bitnet {

// A value v is 4 * code - 128 + low, with a code of 6 bits and low of 2. Of each 256 columns,
//   a block of `high` (192 bytes) holds bits 0 to 3 of the codes of columns b and 128 + b in the halves of byte b, and bits 4,
//   5 of column 64 p + b in bits 2p, 2p + 1 of byte 128 + b; a line of `low` (64 bytes) holds column 64 p + b in bits 2p, 2p +
//   1 of byte b, as a TernaryMatrix of weights low - 1.
// `row` (cols), high (cols * 3 / 4), low (cols / 4); cols a multiple of 256.
void split_planes(const std::int8_t* row, std::int64_t cols, std::uint8_t* high, std::uint8_t* low);

}  // namespace bitnet
