// Packs ternary matrices, and says which of them a format can hold.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "common/error.h"
#include "common/half.h"
#include "quantization/encode.h"
#include "quantization/interwoven.h"
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
  std::uint8_t high = 0;  // of the codes' own width, so that compilers take a register of them at a time
  for (std::int64_t c = 0; c < w.cols; ++c) high = std::max(high, codes[c]);
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

// Rows [begin, end) of a format whose blocks stay within a row, each with its scale or all behind one.
void encode_blocks(const PackedFormat& format, const TernaryRows& w, std::int64_t begin, std::int64_t end, std::byte* out) {
  const DataTypeInfo& type = info(format.type);
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(w.cols));
  std::byte* p = out + begin * (type.head_bytes + w.cols / type.block * type.block_bytes);
  for (std::int64_t row = begin; row < end; ++row) {
    w.unpack(row, codes.data());
    check_codes(w, row, codes.data());
    if (format.per == ScalePer::row) store_scale(scale_at(w, row, 0), format.half_scale, p + format.scale_at);
    p += type.head_bytes;
    for (std::int64_t col = 0; col < w.cols; col += type.block, p += type.block_bytes) {
      format.pack(codes.data() + col, reinterpret_cast<std::uint8_t*>(p));
      if (format.per != ScalePer::row) store_scale(scale_at(w, row, col), format.half_scale, p + format.scale_at);
    }
  }
}

// Rows [begin, end) of a format whose rows are interwoven.
void encode_interwoven(DataType type, const TernaryRows& w, const Tiling& tiling, std::int64_t begin, std::int64_t end,
                       std::byte* out) {
  auto* bytes = reinterpret_cast<std::uint8_t*>(out);
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(w.cols));
  for (std::int64_t row = begin; row < end; ++row) {
    w.unpack(row, codes.data());
    check_codes(w, row, codes.data());
    if (type == DataType::iq2_bn_r4) {
      store_scale(scale_at(w, row, 0), false, out + row / 4 * (16 + w.cols) + row % 4 * 4);
      pack_four_rows(codes.data(), w.cols, row, bytes);
    } else {
      pack_tiles(type, tiling, w.rows, w.cols, codes.data(), row, bytes);
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

// Rows that one thread packs, because their codes share bytes with no others.
std::int64_t rows_at_once(DataType type, std::int64_t cols) {
  switch (type) {
    case DataType::i2_s:
      return info(type).block / std::gcd(info(type).block, cols);
    case DataType::iq2_bn_r4:
      return 4;
    case DataType::tl1:
    case DataType::tl2:
      return 32;
    default:
      return 1;
  }
}

}  // namespace

std::optional<std::string> why_not(DataType type, std::int64_t rows, std::int64_t cols, ScalePer per, const Tiling& tiling) {
  const DataTypeInfo& t = info(type);
  if (!can_be_written(type)) return fmt::format("{} is read, it cannot be written", t.name);
  if (rows < 1 || cols < 1) return fmt::format("a matrix of {} rows and {} columns has no weights", rows, cols);
  if (rows > (std::int64_t{1} << 60) / cols) return fmt::format("{} rows of {} weights are more than 2^60 weights", rows, cols);
  if (!data_bytes(type, static_cast<std::uint64_t>(rows * cols), static_cast<std::uint64_t>(cols))) {
    return fmt::format("{} holds {}, the matrix has {} rows of {}", t.name, whole_units(type), rows, cols);
  }
  const PackedFormat* format = packed_format(type);
  if (format != nullptr && !refines(per, format->per)) {
    return fmt::format("{} has one scale a {}, the weights have one a {}", t.name, name_of(format->per), name_of(per));
  }
  return why_not_tiles(type, tiling, rows, cols);
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

void encode_ternary(DataType type, const TernaryRows& weights, ThreadPool& pool, std::span<std::byte> out,
                    const Tiling& tiling) {
  const PackedFormat* format = packed_format(type);
  if (format == nullptr) fail(ErrorKind::usage, "tensor '{}': {} is no ternary type", printable(weights.name), info(type).name);
  if (const auto clause = why_not(type, weights.rows, weights.cols, weights.scales.per, tiling)) {
    fail(ErrorKind::usage, "tensor '{}': {}", printable(weights.name), *clause);
  }
  check_scales(type, weights);
  if (out.size() != encoded_bytes(type, weights.rows, weights.cols)) {
    fail(ErrorKind::usage, "tensor '{}' does not take {} bytes", printable(weights.name), out.size());
  }
  const bool tiles = type == DataType::tl1 || type == DataType::tl2;
  if (tiles) std::memset(out.data(), 0, out.size());  // bits are added to it, and TL2 leaves bytes unused
  pool.split(weights.rows, rows_at_once(type, weights.cols), [&](std::int64_t begin, std::int64_t end) {
    if (type == DataType::i2_s) {
      encode_run(*format, weights, begin, end, out.data());
    } else if (tiles || type == DataType::iq2_bn_r4) {
      encode_interwoven(type, weights, tiling, begin, end, out.data());
    } else {
      encode_blocks(*format, weights, begin, end, out.data());
    }
  });
  if (format->per != ScalePer::tensor) return;
  const auto tail = out.last(static_cast<std::size_t>(info(type).tail_bytes));
  std::memset(tail.data(), 0, tail.size());
  store_scale(weights.scales.values.front(), format->half_scale, tail.data() + format->scale_at);
}

}  // namespace bitnet
