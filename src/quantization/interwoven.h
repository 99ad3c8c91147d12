// Ternary formats whose rows are interwoven: IQ2_BN_R4 by fours, TL1 and TL2 in the tiles of bitnet.cpp's table-lookup kernels.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/shape.h"

namespace bitnet {

// IQ2_BN_R4: row `row` of a matrix of `cols` columns; `bytes` is the whole matrix. No byte of codes belongs to two rows.
void unpack_four_rows(const std::uint8_t* bytes, std::int64_t cols, std::int64_t row, std::uint8_t* codes);
void pack_four_rows(const std::uint8_t* codes, std::int64_t cols, std::int64_t row, std::uint8_t* bytes);

// nullopt when TL1 or TL2 can cut such a matrix into these tiles, and for any other type; else a clause that names fact and
// bound.
std::optional<std::string> why_not_tiles(DataType type, const Tiling& tiling, std::int64_t rows, std::int64_t cols);

// TL1 and TL2, for tilings that why_not_tiles has nothing against. Unpacking gives code 3 for an index that stands for no
// weights. Packing adds its bits to bytes that were zero; rows of different groups of 32 share no byte.
void unpack_tiles(DataType type, const Tiling& tiling, std::int64_t rows, std::int64_t cols, const std::uint8_t* bytes,
                  std::int64_t row, std::uint8_t* codes);
void pack_tiles(DataType type, const Tiling& tiling, std::int64_t rows, std::int64_t cols, const std::uint8_t* codes,
                std::int64_t row, std::uint8_t* bytes);

}  // namespace bitnet
