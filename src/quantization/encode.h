// Writes weights in the stored formats: what a format can hold, ternary matrices exactly, dense rows rounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/data_type.h"
#include "common/thread_pool.h"
#include "quantization/ternary.h"

namespace bitnet {

// nullopt when `type` can hold a matrix of this shape; `per` says which weights share a scale and matters for ternary types
// alone, `tiling` for TL1 and TL2. Otherwise one clause that names the fact and the bound: "TQ2_0 holds rows of whole blocks of
// 256 weights, the matrix has 10 rows of 2720". Types that are only read are refused too.
std::optional<std::string> why_not(DataType type, std::int64_t rows, std::int64_t cols, ScalePer per = ScalePer::tensor,
                                   const Tiling& tiling = {});

// Bytes of a matrix that why_not has nothing against: the size of the tensor in a file.
std::uint64_t encoded_bytes(DataType type, std::int64_t rows, std::int64_t cols);

// The scale that `type` keeps for a ternary matrix whose scale is `scale`: itself, or the nearest half-precision number where
// the format has no more room. Where the two differ, that is all an encoding loses.
float stored_scale(DataType type, float scale);

// A ternary matrix that somebody reads row by row.
struct TernaryRows {
  std::string_view name;  // of the tensor, for errors
  std::int64_t rows = 0, cols = 0;
  TernaryScales scales;
  std::function<void(std::int64_t row, std::uint8_t* codes)> unpack;  // codes (cols), 0 to 2; called from several threads
};

// The rows of a stored ternary matrix: ternary_scales and unpack_row. Keeps a reference to `tensor` and to `name`.
TernaryRows ternary_rows(const TensorView& tensor, std::string_view name, TernaryScales scales);

// Packs all of a ternary matrix into `out`, exactly encoded_bytes long, on the pool's threads; every byte of it is written, the
// same ones at any thread count. Codes are exact and so are scales, but for stored_scale. Beside `out` a thread needs memory
// for a row. Throws Error{usage} with the clause of why_not; Error{bad_model} naming the tensor for a code above 2 and for a
// scale that is negative, not finite, or leaves the range of half precision where the format has no more.
void encode_ternary(DataType type, const TernaryRows& weights, ThreadPool& pool, std::span<std::byte> out,
                    const Tiling& tiling = {});

// Rounds one row of `cols` weights to a dense type into `out`, the bytes of a row. Safe to call from several threads.
//
// F32 as it is; F16 and BF16 to nearest, ties to even; Q8_0 and Q4_0 to the bytes of ggml's reference quantisers; Q6_K to the
// least squares found (bound of the error: docs/formats.md). Throws Error{usage} with the clause of why_not; Error{bad_model}
// naming tensor, row and column for a weight that a block type cannot hold because it is not finite, and for a finite weight
// or a scale beyond the type's range.
void encode_dense_row(DataType type, std::string_view name, std::int64_t row, std::span<const float> weights,
                      std::span<std::byte> out);

}  // namespace bitnet
