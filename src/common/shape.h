// Shape: the dimensions of a tensor, slowest first, and a view of its bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/data_type.h"

namespace bitnet {

// 1 to 4 dimensions, each at least 1, the last one fastest: a weight matrix is (rows = outputs, cols = inputs).
struct Shape {
  std::vector<std::int64_t> dims;

  std::int64_t elements() const;  // the product; the reader has checked that it fits
  std::int64_t rows() const { return elements() / cols(); }
  std::int64_t cols() const { return dims.back(); }
  std::string text() const;  // "(2560, 6912)"
  bool operator==(const Shape&) const = default;
};

// How TL1 and TL2 cut a matrix into tiles; bitnet.cpp's kernel configuration names them bm, bk and bmm. Zeros where it is not
// known, and for every other type.
struct Tiling {
  std::int64_t block_rows = 0, block_cols = 0, strip_rows = 0;
  bool operator==(const Tiling&) const = default;
};

// A tensor somebody else owns: `bytes` is exactly what `type` and `shape` need.
struct TensorView {
  DataType type = DataType::f32;
  Shape shape;
  std::span<const std::byte> bytes;
  Tiling tiling = {};
};

}  // namespace bitnet
