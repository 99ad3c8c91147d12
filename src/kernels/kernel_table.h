// Every arithmetic operation the engine performs, one table of functions per instruction set.
//
// `scalar/` is the specification: every other table gives the same bits. Integer sums are exact. Float results follow one
// order: a reduction adds element i to virtual lane i mod 16, then the lanes as a tree (8, 4, 2, 1 apart); everything else is +
// - * / sqrt in the order written in scalar/, without contraction, and exp is our own polynomial. So no result depends on tile,
// batch or threads. Functions never fail, allocate or lock. Arrays do not overlap unless said. NaN in gives NaN out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/data_type.h"

namespace bitnet {

constexpr std::int64_t ternary_line_cols = 256;  // weights in one 64-byte line
constexpr std::int64_t ternary_line_bytes = 64;
constexpr std::int64_t six_bit_block_cols = 256;  // codes in one block
constexpr std::int64_t six_bit_block_bytes = 192;
constexpr std::int64_t kv_chunk_positions = 64;  // positions per attention chunk
constexpr std::int64_t attention_block = 64;     // queries that attend() takes at a time

// Ternary weights in the internal layout. A 64-byte line holds 256 consecutive weights of one row: weight 64p + b is bits 2p,
// 2p+1 of byte b, as code = weight + 1.
struct TernaryMatrix {
  const std::uint8_t* lines;  // (rows, cols / 256, 64), 64-byte aligned
  const float* scales;        // (rows) weight = (code - 1) * scale
  std::int64_t rows;
  std::int64_t cols;  // a multiple of 256; columns added as padding hold zeros
};

// Dense weights as they lie in the file, row by row.
struct DenseMatrix {
  DataType type;
  const std::byte* data;  // (rows, row_bytes)
  std::int64_t rows, cols, row_bytes;
};

// Activations of `tokens` tokens as int8: x is about q / scale.
struct QuantisedRows {
  const std::int8_t* q;       // (tokens, cols), 32-byte aligned; zeros in the columns added as padding
  const float* scales;        // (tokens) 127 / max(max|x|, 1e-5)
  const std::int32_t* sums;   // (tokens) sum of q
  std::int64_t tokens, cols;  // cols a multiple of 256
};

enum class KvType : std::uint8_t { f32, f16, int8 };

// 64 positions of one kv head: keys transposed so that a score needs no sum across a register.
struct KvChunk {
  std::byte* keys;      // (head_dim, 64) of KvType
  std::byte* values;    // (64, head_dim) of KvType
  float* key_scales;    // (64), int8 only: key = q * scale
  float* value_scales;  // (64), int8 only
};

// Softmax-weighted values of some queries over some positions.
struct AttentionState {
  float* max;  // (queries) largest score, -infinity over no position
  float* sum;  // (queries) of exp(score - max), 0 over no position
  float* out;  // (queries, head_dim) of exp(score - max) * value
};

enum class RopeKind : std::uint8_t { neox, norm };  // pairs (i, i + rope_dim / 2), or (2i, 2i + 1)

// What makes a hidden value of gate and up: relu(g)^2 * u, 0 where g <= 0 whatever u; g / (1 + exp(-g)) * u; or GELU by tanh,
// g / (1 + exp(g * (linear + cubic * (g * g)))) * u (kernels/gelu.h).
enum class Activation : std::uint8_t { relu2, silu, gelu };

// Rows of ternary weights that are unpacked together: as many as leave room in a second cache of half a megabyte, because all
// activations pass by once for every panel.
constexpr std::int64_t most_panel_rows = 64;
static constexpr std::int64_t ternary_panel_rows(std::int64_t cols) {
  const std::int64_t rows = (192 << 10) / (cols > 0 ? cols : 1) / 8 * 8;
  return rows < 16 ? 16 : rows > most_panel_rows ? most_panel_rows : rows;
}

// Bytes of scratch memory that matmuls over at most `cols` columns and attention over `head_dim` need, per thread, 64-byte
// aligned.
static constexpr std::int64_t kernel_scratch_bytes(std::int64_t cols, std::int64_t head_dim) {
  // Fewer columns may make more rows, and tables of sums (avx2/sum_tables.h) do not depend on them: the most bytes of all.
  const std::int64_t panel = 16 * (cols + ternary_line_cols), most = 384 << 10, matmul = panel > most ? panel : most;
  const std::int64_t attend = 4 * kv_chunk_positions * (3 * head_dim + attention_block + 16);
  return matmul > attend ? matmul : attend;
}

struct KernelTable {
  const char* name;  // "scalar", "avx2", ...

  // The tokens and rows of the blocks that ternary_matmul likes its work cut into where there is more of both; half the rows
  // will do. No tokens: as few rows as one likes, by all tokens.
  std::int64_t block_tokens, block_rows;

  // y = x / sqrt(mean(x^2) + eps) * gain over n elements; x and y may be the same.
  void (*rms_norm)(const float* x, const float* gain, float eps, std::int64_t n, float* y) noexcept;

  // scale = 127 / max(max|x|, 1e-5); q = clamp(round half even(x * scale), -128, 127); q[n .. padded) = 0; sum = sum of q.
  void (*quantise)(const float* x, std::int64_t n, std::int64_t padded, std::int8_t* q, float* scale,
                   std::int32_t* sum) noexcept;

  // quantise(rms_norm(x)) without storing the norm.
  void (*rms_norm_quantise)(const float* x, const float* gain, float eps, std::int64_t n, std::int64_t padded, std::int8_t* q,
                            float* scale, std::int32_t* sum) noexcept;

  // y[t * y_stride + r] = float(w[r] . q[t]) / x.scales[t] * w.scales[r] for rows [begin, end).
  void (*ternary_matmul)(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                         std::int64_t y_stride, std::byte* scratch) noexcept;

  // y[r] = float(w[r] . q[0]) / x.scales[0] * w.scales[r] for the `count` rows r of a list; the rest of y is left alone. Codes
  // may be 3, too (weight 2), where |q| <= 64.
  void (*ternary_rows)(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const QuantisedRows& x,
                       float* y) noexcept;

  // sums[c] += q[r] * w[r][c] over the `count` rows r of a list, without scales, for all columns. Exact.
  void (*ternary_combine)(const TernaryMatrix& w, const std::int32_t* rows, std::int64_t count, const std::int8_t* q,
                          std::int32_t* sums) noexcept;

  // y[t * y_stride + r] = w[r] . x[t], w decoded to float32, for rows [begin, end); x is (tokens, w.cols) with a stride.
  void (*dense_matmul)(const DenseMatrix& w, std::int64_t begin, std::int64_t end, const float* x, std::int64_t tokens,
                       std::int64_t x_stride, float* y, std::int64_t y_stride, std::byte* scratch) noexcept;

  // y[i * y_stride + r - begin] = code[r] . (128 x[i][0] + x[i][1]) exactly, for rows [begin, end) of 6-bit codes in blocks
  // (kernels/byte_planes.h) and `inputs` inputs (2, cols); cols a multiple of 256. |x[i][0]| <= 64, and x[i][1] is in
  // [-64, 64). The caller bounds x so that no partial sum passes 31 bits.
  void (*six_bit_scan)(const std::uint8_t* rows, std::int64_t cols, std::int64_t begin, std::int64_t end, const std::int8_t* x,
                       std::int64_t inputs, std::int32_t* y, std::int64_t y_stride) noexcept;

  // What quantise() lost: sums over n elements of x^2 and of (x - q * step)^2.
  void (*quantisation_error)(const float* x, const std::int8_t* q, float step, std::int64_t n, float* squares,
                             float* error_squares) noexcept;

  // n weights from the start of a row (whole blocks) as float32, of types whose rows lie apart.
  void (*decode)(DataType type, const std::byte* blocks, std::int64_t n, float* y) noexcept;

  // Rotates the first rope_dim elements of each head (heads, head_dim) in place by cos and sin (rope_dim / 2).
  void (*rope)(float* x, std::int64_t heads, std::int64_t head_dim, std::int64_t rope_dim, RopeKind kind, const float* cos,
               const float* sin) noexcept;

  // Stores one position's key and value (head_dim) of one kv head at slot 0..63 of a chunk.
  void (*kv_store)(KvType type, const float* key, const float* value, std::int64_t head_dim, KvChunk chunk,
                   std::int64_t slot) noexcept;

  // The state of each query over the positions [hidden[i], visible[i]) of `count` chunks that follow each other, at least one;
  // both count from the first chunk's first position, 0 to 64 * count. q[i] is already scaled, and each chunk's state is merged
  // into that of the chunks before it. In a chunk of which only some positions are hidden, these take part with a weight of 0.
  void (*attend)(KvType type, const KvChunk* chunks, std::int64_t count, const float* q, std::int64_t queries,
                 const std::int32_t* hidden, const std::int32_t* visible, std::int64_t head_dim, const AttentionState& state,
                 std::byte* scratch) noexcept;

  // Adds the positions of `from` to those of `into`, query by query: nothing where `from` is over no position, a copy where
  // `into` is.
  void (*merge_states)(const AttentionState& into, const AttentionState& from, std::int64_t queries,
                       std::int64_t head_dim) noexcept;

  // y = activation(gate) * up over n elements; y may be either input.
  void (*gate)(Activation activation, const float* gate, const float* up, std::int64_t n, float* y) noexcept;

  void (*add)(float* x, const float* y, std::int64_t n) noexcept;  // x += y
  void (*scale)(float* x, float factor, std::int64_t n) noexcept;  // x *= factor
  void (*softmax)(float* x, std::int64_t n) noexcept;              // in place; n >= 1
};

const KernelTable& scalar_table();
#ifdef BITNET_HAVE_X86
const KernelTable& avx2_table();
const KernelTable& avxvnni_table();
const KernelTable& avx512_table();
#endif
#ifdef BITNET_HAVE_NEON
const KernelTable& neon_table();
const KernelTable& dotprod_table();
const KernelTable& i8mm_table();
#endif

}  // namespace bitnet
