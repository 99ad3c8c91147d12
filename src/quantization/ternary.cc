// Decides whether a tensor is ternary, and unpacks its rows.
#include "quantization/ternary.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/error.h"
#include "kernels/kernel_table.h"
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

// Scales of blocks become those of rows, and those of rows one, where nothing is lost.
TernaryScales fewest(TernaryScales scales, std::int64_t rows) {
  if (const auto all = one_magnitude(scales.values)) return {ScalePer::tensor, {*all}};
  if (scales.per == ScalePer::row) return scales;
  const std::span<const float> values = scales.values;
  const std::size_t blocks = values.size() / static_cast<std::size_t>(rows);
  TernaryScales by_row{ScalePer::row, {}};
  for (std::size_t at = 0; at < values.size(); at += blocks) {
    const auto row = one_magnitude(values.subspan(at, blocks));
    if (!row) return scales;
    by_row.values.push_back(*row);
  }
  return by_row;
}

std::optional<TernaryScales> packed_scales(const TensorView& tensor, const PackedFormat& format, std::string_view name) {
  const DataTypeInfo& type = info(format.type);
  const std::int64_t rows = tensor.shape.rows(), cols = tensor.shape.cols();
  if (format.per == ScalePer::tensor) {
    const float scale =
        load_scale(tensor.bytes.last(static_cast<std::size_t>(type.tail_bytes)).data() + format.scale_at, format.half_scale);
    if (!std::isfinite(scale)) bad(name, fmt::format("the {} scale behind the codes is not finite", type.name));
    return TernaryScales{ScalePer::tensor, {scale}};
  }
  TernaryScales scales{format.per, {}};
  const std::int64_t count = rows * scales_per_row(format.per, cols);
  const std::int64_t apart = static_cast<std::int64_t>(tensor.bytes.size()) / count;
  scales.values.resize(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const float scale = load_scale(tensor.bytes.data() + i * apart + format.scale_at, format.half_scale);
    if (!std::isfinite(scale)) {
      bad(name, fmt::format("the scale of {} {} is not finite", format.per == ScalePer::row ? "row" : "block", i));
    }
    if (scale < 0) return std::nullopt;
    scales.values[static_cast<std::size_t>(i)] = scale;
  }
  return fewest(std::move(scales), rows);
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

void unpack_packed_row(const TensorView& tensor, const PackedFormat& format, std::int64_t row, std::uint8_t* codes) {
  const DataTypeInfo& type = info(format.type);
  const std::int64_t cols = tensor.shape.cols();
  if (format.per == ScalePer::tensor) return unpack_run(tensor, format, row * cols, cols, codes);
  const std::int64_t row_bytes = static_cast<std::int64_t>(tensor.bytes.size()) / tensor.shape.rows();
  const std::byte* p = tensor.bytes.data() + row * row_bytes;
  for (std::int64_t c = 0; c < cols; c += type.block, p += type.block_bytes) {
    if (load_scale(p + format.scale_at, format.half_scale) == 0) {
      std::memset(codes + c, 1, static_cast<std::size_t>(type.block));  // whatever the codes say, the weights are zero
    } else {
      format.unpack(reinterpret_cast<const std::uint8_t*>(p), codes + c);
    }
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

std::optional<TernaryScales> ternary_scales(const TensorView& tensor, std::string_view name) {
  if (const PackedFormat* format = packed_format(tensor.type)) return packed_scales(tensor, *format, name);
  const bool floats = tensor.type == DataType::f32 || tensor.type == DataType::f16 || tensor.type == DataType::bf16;
  return floats ? uniform_magnitude(tensor) : std::nullopt;
}

void unpack_row(const TensorView& tensor, std::string_view name, std::int64_t row, std::uint8_t* codes) {
  const PackedFormat* format = packed_format(tensor.type);
  if (format == nullptr) return unpack_float_row(tensor, row, codes);
  unpack_packed_row(tensor, *format, row, codes);
  const auto cols = static_cast<std::size_t>(tensor.shape.cols());
  const void* three = std::memchr(codes, 3, cols);
  if (three != nullptr) {
    bad(name, fmt::format("row {}, column {} has code 3, ternary codes are 0 to 2", row,
                          static_cast<const std::uint8_t*>(three) - codes));
  }
}

}  // namespace bitnet
