// Packs ternary matrices, and says which of them a format can hold.
#include <cmath>
#include <cstring>
#include <numeric>

#include "common/error.h"
#include "common/half.h"
#include "quantization/encode.h"
#include "quantization/packed_format.h"

namespace bitnet {
namespace {

[[noreturn]] void bad(std::string_view name, const std::string& fact) {
  fail(ErrorKind::bad_model, "tensor '{}': {}", printable(name), fact);
}

bool can_be_written(DataType type) {
  switch (type) {
    case DataType::q4_1:
    case DataType::q5_0:
    case DataType::q5_1:
    case DataType::q4_k:
    case DataType::q5_k:
      return false;
    default:
      return true;
  }
}

// Whether scales shared by `from` can be written as scales shared by `to`: the same, or more of them.
bool refines(ScalePer from, ScalePer to) {
  const bool blocks = from >= ScalePer::block64 && to >= ScalePer::block64;
  return blocks ? to <= from : from <= to;
}

void check_codes(const TernaryRows& w, std::int64_t row, const std::uint8_t* codes) {
  unsigned high = 0;
  for (std::int64_t c = 0; c < w.cols; ++c) high = codes[c] > high ? codes[c] : high;
  if (high <= 2) return;
  std::int64_t column = 0;
  while (codes[column] <= 2) ++column;
  bad(w.name, fmt::format("row {}, column {} has code {}, ternary codes are 0 to 2", row, column, codes[column]));
}

void check_scales(DataType type, const TernaryRows& w) {
  const std::int64_t each = scales_per_row(w.scales.per, w.cols);
  const std::int64_t wanted = each == 0 ? 1 : w.rows * each;
  if (static_cast<std::int64_t>(w.scales.values.size()) != wanted) {
    fail(ErrorKind::usage, "tensor '{}': {} scales are given, one a {} makes {}", printable(w.name), w.scales.values.size(),
         name_of(w.scales.per), wanted);
  }
  for (const float scale : w.scales.values) {
    if (!(scale >= 0) || !std::isfinite(scale))
      bad(w.name, fmt::format("a scale is {}, it must be finite and not negative", scale));
    const float stored = stored_scale(type, scale);
    if (!std::isfinite(stored) || (stored == 0 && scale != 0)) {
      bad(w.name,
          fmt::format("a scale is {}, the half-precision scale of {} reaches from 6e-8 to 65504", scale, info(type).name));
    }
  }
}

// The scale of the block of weights that begins at (row, col).
float scale_at(const TernaryRows& w, std::int64_t row, std::int64_t col) {
  const std::int64_t each = scales_per_row(w.scales.per, w.cols);
  const std::int64_t index = each == 0 ? 0 : row * each + col / (w.cols / each);
  return w.scales.values[static_cast<std::size_t>(index)];
}

// Rows [begin, end) of a format whose blocks stay within a row, each block behind its scale or before it.
void encode_blocks(const PackedFormat& format, const TernaryRows& w, std::int64_t begin, std::int64_t end, std::byte* out) {
  const std::int64_t block = info(format.type).block, block_bytes = info(format.type).block_bytes;
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(w.cols));
  std::byte* p = out + begin * (w.cols / block * block_bytes);
  for (std::int64_t row = begin; row < end; ++row) {
    w.unpack(row, codes.data());
    check_codes(w, row, codes.data());
    for (std::int64_t col = 0; col < w.cols; col += block, p += block_bytes) {
      format.pack(codes.data() + col, reinterpret_cast<std::uint8_t*>(p));
      store_scale(scale_at(w, row, col), format.half_scale, p + format.scale_at);
    }
  }
}

// Rows [begin, end) of a format whose blocks run on across rows; `begin` starts a block and so does `end`, if it is not the
// last.
void encode_run(const PackedFormat& format, const TernaryRows& w, std::int64_t begin, std::int64_t end, std::byte* out) {
  const std::int64_t block = info(format.type).block, block_bytes = info(format.type).block_bytes;
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(block + w.cols));
  std::int64_t kept = 0;  // codes of an unfinished block
  auto* p = reinterpret_cast<std::uint8_t*>(out + begin * w.cols / block * block_bytes);
  for (std::int64_t row = begin; row < end; ++row) {
    w.unpack(row, codes.data() + kept);
    check_codes(w, row, codes.data() + kept);
    const std::int64_t have = kept + w.cols, whole = have / block * block;
    for (std::int64_t at = 0; at < whole; at += block, p += block_bytes) format.pack(codes.data() + at, p);
    kept = have - whole;
    std::memmove(codes.data(), codes.data() + whole, static_cast<std::size_t>(kept));
  }
}

}  // namespace

std::optional<std::string> why_not(DataType type, std::int64_t rows, std::int64_t cols, ScalePer per) {
  const DataTypeInfo& t = info(type);
  if (!can_be_written(type)) return fmt::format("{} is read, it cannot be written", t.name);
  if (rows < 1 || cols < 1) return fmt::format("a matrix of {} rows and {} columns has no weights", rows, cols);
  if (rows > (std::int64_t{1} << 60) / cols) return fmt::format("{} rows of {} weights are more than 2^60 weights", rows, cols);
  const auto elements = static_cast<std::uint64_t>(rows * cols);
  if (!data_bytes(type, elements, static_cast<std::uint64_t>(cols))) {
    if (type == DataType::i2_s)
      return fmt::format("I2_S holds blocks of {} weights, the tensor has {} weights", t.block, elements);
    return fmt::format("{} holds blocks of {} weights, a row has {}", t.name, t.block, cols);
  }
  const PackedFormat* format = packed_format(type);
  if (format != nullptr && !refines(per, format->per)) {
    return fmt::format("{} has one scale a {}, the weights have one a {}", t.name, name_of(format->per), name_of(per));
  }
  return std::nullopt;
}

std::uint64_t encoded_bytes(DataType type, std::int64_t rows, std::int64_t cols) {
  return *data_bytes(type, static_cast<std::uint64_t>(rows * cols), static_cast<std::uint64_t>(cols));
}

float stored_scale(DataType type, float scale) {
  const PackedFormat* format = packed_format(type);
  return format != nullptr && format->half_scale ? f16_to_f32(f32_to_f16(scale)) : scale;
}

TernaryRows ternary_rows(const TensorView& tensor, std::string_view name, TernaryScales scales) {
  return {name, tensor.shape.rows(), tensor.shape.cols(), std::move(scales),
          [&tensor, name](std::int64_t row, std::uint8_t* codes) { unpack_row(tensor, name, row, codes); }};
}

void encode_ternary(DataType type, const TernaryRows& weights, ThreadPool& pool, std::span<std::byte> out) {
  const PackedFormat* format = packed_format(type);
  if (format == nullptr) fail(ErrorKind::usage, "tensor '{}': {} is no ternary type", printable(weights.name), info(type).name);
  if (const auto clause = why_not(type, weights.rows, weights.cols, weights.scales.per)) {
    fail(ErrorKind::usage, "tensor '{}': {}", printable(weights.name), *clause);
  }
  check_scales(type, weights);
  if (out.size() != encoded_bytes(type, weights.rows, weights.cols)) {
    fail(ErrorKind::usage, "tensor '{}' does not take {} bytes", printable(weights.name), out.size());
  }
  const bool runs_on = format->per == ScalePer::tensor;
  const std::int64_t unit = runs_on ? info(type).block / std::gcd(info(type).block, weights.cols) : 1;
  pool.split(weights.rows, unit, [&](std::int64_t begin, std::int64_t end) {
    runs_on ? encode_run(*format, weights, begin, end, out.data()) : encode_blocks(*format, weights, begin, end, out.data());
  });
  if (!runs_on) return;
  const auto tail = out.last(static_cast<std::size_t>(info(type).tail_bytes));
  std::memset(tail.data(), 0, tail.size());
  store_scale(weights.scales.values.front(), format->half_scale, tail.data() + format->scale_at);
}

}  // namespace bitnet
