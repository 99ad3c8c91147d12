// Decides whether a tensor is ternary, and unpacks its rows.
#include "quantization/ternary.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/error.h"
#include "kernels/kernel_table.h"
#include "quantization/interwoven.h"
#include "quantization/packed_format.h"

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

std::optional<float> one_magnitude(std::span<const float> values) {
  OneMagnitude all;
  for (const float v : values) {
    if (!all.add(v)) return std::nullopt;
  }
  return all.value();
}

// One scale for each `together` of them, if those are the same.
std::optional<std::vector<float>> merged(std::span<const float> scales, std::int64_t together) {
  std::vector<float> fewer;
  for (std::size_t at = 0; at < scales.size(); at += static_cast<std::size_t>(together)) {
    const auto one = one_magnitude(scales.subspan(at, static_cast<std::size_t>(together)));
    if (!one) return std::nullopt;
    fewer.push_back(*one);
  }
  return fewer;
}

// The coarsest scales that say the same.
TernaryScales fewest(TernaryScales scales, std::int64_t cols) {
  const auto count = static_cast<std::int64_t>(scales.values.size()), each = scales_per_row(scales.per, cols);
  if (auto one = merged(scales.values, count)) return {ScalePer::tensor, *std::move(one)};
  for (const ScalePer per : {ScalePer::row, ScalePer::block256, ScalePer::block128}) {
    const std::int64_t wanted = scales_per_row(per, cols);
    if (wanted == 0 || wanted > each || each % wanted != 0) continue;
    if (auto fewer = merged(scales.values, each / wanted)) return {per, *std::move(fewer)};
  }
  return scales;
}

// Where scale i of a tensor lies.
const std::byte* scale_place(const TensorView& tensor, const PackedFormat& format, std::int64_t i) {
  const DataTypeInfo& type = info(format.type);
  const std::byte* bytes = tensor.bytes.data();
  const std::int64_t row_bytes = static_cast<std::int64_t>(tensor.bytes.size()) / tensor.shape.rows();
  if (format.per == ScalePer::tensor) return bytes + tensor.bytes.size() - type.tail_bytes + format.scale_at;
  if (format.type == DataType::iq2_bn_r4) return bytes + i / 4 * 4 * row_bytes + i % 4 * 4;
  return bytes + i * (format.per == ScalePer::row ? row_bytes : type.block_bytes) + format.scale_at;
}

// Whether any block has a code 3, in formats where all bytes but the scale's two hold four codes.
bool has_code_three(const TensorView& tensor) {
  const std::int64_t block_bytes = info(tensor.type).block_bytes;
  const auto* p = reinterpret_cast<const std::uint8_t*>(tensor.bytes.data());
  const auto* end = p + tensor.bytes.size();
  unsigned both_bits = 0;
  for (; p < end; p += block_bytes) {
    for (std::int64_t i = 2; i < block_bytes; ++i) both_bits |= p[i] & p[i] >> 1 & 0x55;
  }
  return both_bits != 0;
}

std::optional<TernaryScales> packed_scales(const TensorView& tensor, const PackedFormat& format, std::string_view name) {
  const std::int64_t rows = tensor.shape.rows(), each = scales_per_row(format.per, tensor.shape.cols());
  TernaryScales scales{format.per, {}};
  scales.values.resize(static_cast<std::size_t>(each == 0 ? 1 : rows * each));
  bool negative = false;
  for (std::size_t i = 0; i < scales.values.size(); ++i) {
    const float scale = load_scale(scale_place(tensor, format, static_cast<std::int64_t>(i)), format.half_scale);
    if (!std::isfinite(scale)) bad(name, fmt::format("scale {} of {} is not finite", i, scales.values.size()));
    if (scale < 0 && format.per == ScalePer::row)
      bad(name, fmt::format("the scale of row {} is {}, which is negative", i, scale));
    negative = negative || scale < 0;
    scales.values[i] = scale;
  }
  if (format.per == ScalePer::tensor) return scales;
  if (negative || (format.two_is_3 && has_code_three(tensor))) return std::nullopt;
  return fewest(std::move(scales), tensor.shape.cols());
}

std::optional<TernaryScales> uniform_magnitude(const TensorView& tensor) {
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
  return TernaryScales{ScalePer::tensor, {all.value()}};
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

// Weights [first, first + n) counted through the whole tensor: blocks of I2_S do not stop at row ends.
void unpack_run(const TensorView& tensor, const PackedFormat& format, std::int64_t first, std::int64_t n, std::uint8_t* codes) {
  const std::int64_t block = info(format.type).block, block_bytes = info(format.type).block_bytes;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(tensor.bytes.data());
  while (n > 0) {
    const std::uint8_t* start = bytes + first / block * block_bytes;
    const std::int64_t skip = first % block, take = std::min(n, block - skip);
    if (take == block) {
      format.unpack(start, codes);
    } else {
      std::uint8_t whole[256];
      format.unpack(start, whole);
      std::memcpy(codes, whole + skip, static_cast<std::size_t>(take));
    }
    first += take, n -= take, codes += take;
  }
}

// A row of blocks, each with its own scale or all behind one.
void unpack_blocks(const TensorView& tensor, const PackedFormat& format, std::int64_t row, std::uint8_t* codes) {
  const DataTypeInfo& type = info(format.type);
  const std::int64_t cols = tensor.shape.cols();
  const std::int64_t row_bytes = static_cast<std::int64_t>(tensor.bytes.size()) / tensor.shape.rows();
  const std::byte* p = tensor.bytes.data() + row * row_bytes + type.head_bytes;
  for (std::int64_t c = 0; c < cols; c += type.block, p += type.block_bytes) {
    if (format.per != ScalePer::row && load_scale(p + format.scale_at, format.half_scale) == 0) {
      std::memset(codes + c, 1, static_cast<std::size_t>(type.block));  // whatever the codes say, the weights are zero
    } else {
      format.unpack(reinterpret_cast<const std::uint8_t*>(p), codes + c);
    }
  }
}

void unpack_packed_row(const TensorView& tensor, const PackedFormat& format, std::int64_t row, std::uint8_t* codes) {
  const std::int64_t cols = tensor.shape.cols();
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(tensor.bytes.data());
  if (format.per == ScalePer::row && load_scale(scale_place(tensor, format, row), format.half_scale) == 0) {
    std::memset(codes, 1, static_cast<std::size_t>(cols));
    return;
  }
  switch (format.type) {
    case DataType::i2_s:
      return unpack_run(tensor, format, row * cols, cols, codes);
    case DataType::iq2_bn_r4:
      return unpack_four_rows(bytes, cols, row, codes);
    case DataType::tl1:
    case DataType::tl2:
      return unpack_tiles(format.type, tensor.tiling, tensor.shape.rows(), cols, bytes, row, codes);
    default:
      return unpack_blocks(tensor, format, row, codes);
  }
}

}  // namespace

std::string_view name_of(ScalePer per) {
  static constexpr std::string_view names[] = {"tensor", "row", "block of 64 weights", "block of 128 weights",
                                               "block of 256 weights"};
  return names[static_cast<std::size_t>(per)];
}

std::int64_t scales_per_row(ScalePer per, std::int64_t cols) {
  switch (per) {
    case ScalePer::tensor:
      return 0;
    case ScalePer::row:
      return 1;
    case ScalePer::block64:
      return cols / 64;
    case ScalePer::block128:
      return cols / 128;
    case ScalePer::block256:
      return cols / 256;
  }
  return 0;
}

std::optional<ScalePer> stored_per(DataType type) {
  const PackedFormat* format = packed_format(type);
  return format == nullptr ? std::nullopt : std::optional(format->per);
}

std::optional<TernaryScales> ternary_scales(const TensorView& tensor, std::string_view name) {
  if (tensor.type == DataType::hf_packed) return TernaryScales{ScalePer::tensor, {1.0f}};
  if (const auto clause = why_not_tiles(tensor.type, tensor.tiling, tensor.shape.rows(), tensor.shape.cols()))
    bad(name, *clause);
  if (const PackedFormat* format = packed_format(tensor.type)) return packed_scales(tensor, *format, name);
  const bool floats = tensor.type == DataType::f32 || tensor.type == DataType::f16 || tensor.type == DataType::bf16;
  return floats ? uniform_magnitude(tensor) : std::nullopt;
}

void unpack_row(const TensorView& tensor, std::string_view name, std::int64_t row, std::uint8_t* codes) {
  if (tensor.type == DataType::hf_packed) {
    unpack_hf_packed_row(tensor, row, codes);
  } else if (const PackedFormat* format = packed_format(tensor.type)) {
    unpack_packed_row(tensor, *format, row, codes);
  } else {
    return unpack_float_row(tensor, row, codes);
  }
  const auto cols = static_cast<std::size_t>(tensor.shape.cols());
  const void* three = std::memchr(codes, 3, cols);
  if (three != nullptr) {
    const auto column = static_cast<const std::uint8_t*>(three) - codes;
    const bool tiles = tensor.type == DataType::tl1 || tensor.type == DataType::tl2;
    bad(name, tiles ? fmt::format("row {}, column {} lies in a group whose index stands for no weights", row, column)
                    : fmt::format("row {}, column {} has code 3, ternary codes are 0 to 2", row, column));
  }
}

}  // namespace bitnet
