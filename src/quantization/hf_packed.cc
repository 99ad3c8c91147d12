// HF_PACKED: 2 bits a weight, four rows in a byte (transformers, integrations/bitnet.py; drawing in docs/formats.md).
#include "quantization/packed_format.h"

namespace bitnet {

void unpack_hf_packed_row(const TensorView& tensor, std::int64_t row, std::uint8_t* codes) {
  const std::int64_t packed_rows = tensor.shape.rows() / 4, cols = tensor.shape.cols();
  const auto* p = reinterpret_cast<const std::uint8_t*>(tensor.bytes.data()) + row % packed_rows * cols;
  const auto shift = static_cast<int>(2 * (row / packed_rows));
  for (std::int64_t c = 0; c < cols; ++c) codes[c] = p[c] >> shift & 3;
}

}  // namespace bitnet
