// Decides whether a tensor is ternary, and unpacks its rows.
#include "quantization/ternary.h"

#include <cmath>
#include <cstring>

#include "common/error.h"
#include "kernels/kernel_table.h"
#include "quantization/formats.h"

namespace bitnet {
namespace {

[[noreturn]] void bad(std::string_view name, const std::string& fact) {
  fail(ErrorKind::bad_model, "tensor '{}': {}", printable(name), fact);
}

// The one magnitude that a stream of scales or weights may have besides 0.
class OneMagnitude {
 public:
  bool add(float value) {
    const float magnitude = std::fabs(value);
    if (magnitude == 0) return true;
    if (magnitude_ == 0) magnitude_ = magnitude;
    return magnitude == magnitude_;  // false for NaN
  }
  float value() const { return magnitude_; }

 private:
  float magnitude_ = 0;
};

template <std::int64_t block_bytes>
std::optional<float> uniform_block_scale(const TensorView& tensor, std::string_view name, float (*scale)(const std::byte*)) {
  OneMagnitude all;
  for (std::size_t at = 0; at < tensor.bytes.size(); at += block_bytes) {
    const float s = scale(tensor.bytes.data() + at);
    if (!std::isfinite(s)) bad(name, fmt::format("the scale of block {} is not finite", at / block_bytes));
    if (s < 0 || !all.add(s)) return std::nullopt;
  }
  return all.value();
}

std::optional<float> uniform_magnitude(const TensorView& tensor) {
  const std::int64_t cols = tensor.shape.cols();
  const auto row_bytes = static_cast<std::int64_t>(tensor.bytes.size()) / tensor.shape.rows();
  std::vector<float> row(static_cast<std::size_t>(cols));
  OneMagnitude all;
  for (std::int64_t r = 0; r < tensor.shape.rows(); ++r) {
    scalar_table().decode(tensor.type, tensor.bytes.data() + r * row_bytes, cols, row.data());
    for (const float w : row) {
      if (!std::isfinite(w) || !all.add(w)) return std::nullopt;
    }
  }
  return all.value();
}

template <std::int64_t block, std::int64_t block_bytes>
void unpack_blocks(const TensorView& tensor, std::int64_t row, std::uint8_t* codes, float (*scale)(const std::byte*),
                   void (*unpack)(const std::byte*, std::uint8_t*)) {
  const std::int64_t blocks = tensor.shape.cols() / block;
  const std::byte* p = tensor.bytes.data() + row * blocks * block_bytes;
  for (std::int64_t b = 0; b < blocks; ++b, p += block_bytes, codes += block) {
    if (scale(p) == 0) {
      std::memset(codes, 1, block);  // whatever the codes say, the weights are zero
    } else {
      unpack(p, codes);
    }
  }
}

void unpack_float_row(const TensorView& tensor, std::int64_t row, std::uint8_t* codes) {
  const std::int64_t cols = tensor.shape.cols();
  const auto row_bytes = static_cast<std::int64_t>(tensor.bytes.size()) / tensor.shape.rows();
  std::vector<float> weights(static_cast<std::size_t>(cols));
  scalar_table().decode(tensor.type, tensor.bytes.data() + row * row_bytes, cols, weights.data());
  for (std::int64_t c = 0; c < cols; ++c) {
    const float w = weights[static_cast<std::size_t>(c)];
    codes[c] = w > 0 ? 2 : w < 0 ? 0 : 1;
  }
}

}  // namespace

std::optional<float> ternary_scale(const TensorView& tensor, std::string_view name) {
  switch (tensor.type) {
    case DataType::i2_s: {
      const float scale = i2_s::scale(tensor.bytes, tensor.shape.elements());
      if (!std::isfinite(scale)) bad(name, "the I2_S scale behind the codes is not finite");
      return scale;
    }
    case DataType::tq1_0:
      return uniform_block_scale<tq1_0::block_bytes>(tensor, name, tq1_0::scale);
    case DataType::tq2_0:
      return uniform_block_scale<tq2_0::block_bytes>(tensor, name, tq2_0::scale);
    case DataType::f32:
    case DataType::f16:
    case DataType::bf16:
      return uniform_magnitude(tensor);
    default:
      return std::nullopt;
  }
}

void unpack_row(const TensorView& tensor, std::string_view name, std::int64_t row, std::uint8_t* codes) {
  const std::int64_t cols = tensor.shape.cols();
  switch (tensor.type) {
    case DataType::i2_s:
      i2_s::unpack(tensor.bytes.data(), row * cols, cols, codes);
      break;
    case DataType::tq1_0:
      unpack_blocks<tq1_0::block, tq1_0::block_bytes>(tensor, row, codes, tq1_0::scale, tq1_0::unpack);
      break;
    case DataType::tq2_0:
      unpack_blocks<tq2_0::block, tq2_0::block_bytes>(tensor, row, codes, tq2_0::scale, tq2_0::unpack);
      break;
    default:
      unpack_float_row(tensor, row, codes);
      return;
  }
  const void* three = std::memchr(codes, 3, static_cast<std::size_t>(cols));
  if (three != nullptr) {
    bad(name, fmt::format("row {}, column {} has code 3, ternary codes are 0 to 2", row,
                          static_cast<const std::uint8_t*>(three) - codes));
  }
}

}  // namespace bitnet
