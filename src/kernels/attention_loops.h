// The loops of attention that every vector instruction set shares; what differs is the Vector.
//
// Scores and values are both small matrix products, sums[r] = sum over k of a[r][k] * b[k], in register tiles of a few rows by
// sixteen columns: for scores a is the queries and b the transposed keys, for values a is the softmax and b the values. What
// one tile holds reads keys and values as they are stored and converts them in registers; more queries convert each chunk once,
// into panels of sixteen columns that stay in L1. A Vector has
//   tile_rows                                               of the largest register tile
//   Lanes                                                   sixteen floats
//   zero(), splat(x), load(float*), store(float*, x)
//   load_f16(uint16*), load_int8(int8*)                     sixteen of them as floats
//   add, sub, mul, exp, larger(a, b) = a > b ? a : b
//   sum(x), largest(x)                                      over the lanes; the sum as a tree
//   prefetch(p)
// In an unnamed namespace, since each includer has its own flags.
#pragma once

#include <type_traits>

#include "kernels/kernel_table.h"
#include "kernels/lanes.h"

namespace bitnet {
namespace {

constexpr std::int64_t width = float_lanes, chunk_positions = kv_chunk_positions;

// Columns of values go in panels of sixteen; the last one of a head_dim that does not divide overlaps the one before.
inline std::int64_t value_panels(std::int64_t head_dim) { return (head_dim + width - 1) / width; }
inline std::int64_t value_panel(std::int64_t i, std::int64_t head_dim) {
  return i * width + width <= head_dim ? i * width : head_dim - width;
}

// Memory for one chunk and a block of queries; kernel_scratch_bytes() has room for it.
struct AttentionScratch {
  float* weights;       // (queries, 64) scores, then exp(score - max), times the value's scale for int8
  float* sums;          // (queries, head_dim) of weight * value
  float* key_panels;    // (64 / 16, head_dim, 16)
  float* value_panels;  // (value_panels, 64, 16)
};

inline AttentionScratch attention_scratch(std::byte* memory, std::int64_t head_dim) {
  auto* at = reinterpret_cast<float*>(memory);
  const auto take = [&](std::int64_t n) { return (at += n) - n; };
  return {take(attention_block * chunk_positions), take(attention_block * head_dim), take(chunk_positions * head_dim), at};
}

// Sixteen elements of a stored matrix from element i on; int8 without its scale.
template <class Vector, KvType type>
typename Vector::Lanes load_kv(const std::byte* data, std::int64_t i) {
  if constexpr (type == KvType::f32) return Vector::load(reinterpret_cast<const float*>(data) + i);
  if constexpr (type == KvType::f16) return Vector::load_f16(reinterpret_cast<const std::uint16_t*>(data) + i);
  if constexpr (type == KvType::int8) return Vector::load_int8(reinterpret_cast<const std::int8_t*>(data) + i);
}

constexpr std::int64_t bytes_of(KvType type) { return type == KvType::f32 ? 4 : type == KvType::f16 ? 2 : 1; }

// A matrix (k, columns) as it is stored, from its first wanted column on, and what to prefetch, as fast as it is read; or null.
struct Columns {
  const std::byte* data;
  std::int64_t stride;  // elements from one k to the next
  const std::byte* ahead;
};

// sums[r][0..16) = sum over k < count of a[r][k] * b[k], in order, for `rows` rows.
template <class Vector, KvType type, int rows, bool prefetches>
void tile(const float* a, std::int64_t a_stride, Columns b, std::int64_t count, float* sums, std::int64_t sums_stride) {
  typename Vector::Lanes acc[rows];
  const float* row[rows];
  for (int r = 0; r < rows; ++r) acc[r] = Vector::zero(), row[r] = a + r * a_stride;
  const std::int64_t step = b.stride * bytes_of(type);
  for (std::int64_t k = 0; k < count; ++k, b.data += step) {
    if constexpr (prefetches) Vector::prefetch(b.ahead), b.ahead += width * bytes_of(type);
    const auto column = load_kv<Vector, type>(b.data, 0);
    for (int r = 0; r < rows; ++r) acc[r] = Vector::add(acc[r], Vector::mul(Vector::splat(row[r][k]), column));
  }
  for (int r = 0; r < rows; ++r) Vector::store(sums + r * sums_stride, acc[r]);
}

// One run of queries over one chunk.
struct ChunkWork {
  KvChunk chunk;
  const std::byte* next_keys;   // of the chunk that comes after this one
  const float* q;               // (queries, head_dim)
  const std::int32_t* hidden;   // (queries) 0..64: positions before it have a weight of 0
  const std::int32_t* visible;  // (queries) 0..64: positions from it on are not read; 0 for who sees nothing
  std::int64_t queries, head_dim;
  std::int32_t most;  // of visible
};

// Runs body(first, integral_constant rows) over the queries in tiles, leaving out tiles that see nothing.
template <int rows, class Body>
void each_tile(const ChunkWork& work, std::int64_t first, const Body& body) {
  for (; first + rows <= work.queries; first += rows) {
    std::int32_t least = work.visible[first], most = least;
    for (int r = 1; r < rows; ++r) {
      const std::int32_t seen = work.visible[first + r];
      least = seen < least ? seen : least, most = seen > most ? seen : most;
    }
    if (most > 0) body(std::integral_constant<int, rows>(), first, least, most);
  }
  if constexpr (rows > 1) {
    if (first < work.queries) each_tile<rows - 1>(work, first, body);
  }
}

// `one_tile` says that the keys are read once, so that it pays to prefetch the values meanwhile.
template <class Vector, KvType type, bool one_tile>
void all_scores(const ChunkWork& work, const std::byte* keys, std::int64_t stride, std::int64_t panel_stride, float* scores) {
  const std::int64_t head_dim = work.head_dim;
  for (std::int64_t panel = 0; panel * width < work.most; ++panel) {
    const Columns columns{keys + panel * panel_stride * bytes_of(type), stride,
                          one_tile ? work.chunk.values + panel * head_dim * width * bytes_of(type) : nullptr};
    each_tile<Vector::tile_rows>(work, 0, [&](auto rows, std::int64_t i, std::int32_t, std::int32_t most) {
      if (panel * width >= most) return;
      float* to = scores + i * chunk_positions + panel * width;
      tile<Vector, type, rows, one_tile>(work.q + i * head_dim, head_dim, columns, head_dim, to, chunk_positions);
    });
  }
}

// Turns one query's scores into weights; gives their largest score and the sum of exp(score - max).
template <class Vector, KvType type>
void softmax_weights(const KvChunk& chunk, std::int64_t hidden, std::int64_t visible, float* p, float& max, float& sum) {
  if constexpr (type == KvType::int8) {
    for (std::int64_t j = 0; j < visible; j += width) {
      Vector::store(p + j, Vector::mul(Vector::load(p + j), Vector::load(chunk.key_scales + j)));
    }
  }
  const std::int64_t end = (visible + width - 1) / width * width;
  for (std::int64_t j = 0; j < hidden; ++j) p[j] = -__builtin_inff();
  for (std::int64_t j = visible; j < end; ++j) p[j] = -__builtin_inff();
  auto largest = Vector::load(p);
  for (std::int64_t j = width; j < end; j += width) largest = Vector::larger(Vector::load(p + j), largest);
  max = Vector::largest(largest);
  auto sums = Vector::zero();
  for (std::int64_t j = 0; j < end; j += width) {
    auto weights = Vector::exp(Vector::sub(Vector::load(p + j), Vector::splat(max)));
    sums = Vector::add(sums, weights);
    if constexpr (type == KvType::int8) weights = Vector::mul(weights, Vector::load(chunk.value_scales + j));
    Vector::store(p + j, weights);
  }
  sum = Vector::sum(sums);
}

// With `one_tile` prefetches the next chunk's keys.
template <class Vector, KvType type, bool one_tile>
void all_values(const ChunkWork& work, const std::byte* values, std::int64_t stride, const float* weights, float* sums) {
  const std::int64_t panels = value_panels(work.head_dim), sums_stride = work.head_dim;
  for (std::int64_t panel = 0; panel < panels; ++panel) {
    const std::int64_t column = value_panel(panel, work.head_dim), panel_elements = panel * chunk_positions * width;
    const Columns columns{values + (one_tile ? column : panel_elements) * bytes_of(type), stride,
                          one_tile ? work.next_keys + panel_elements * bytes_of(type) : nullptr};
    each_tile<Vector::tile_rows>(work, 0, [&](auto rows, std::int64_t i, std::int32_t least, std::int32_t most) {
      const float* p = weights + i * chunk_positions;
      float* to = sums + i * sums_stride + column;
      tile<Vector, type, rows, one_tile>(p, chunk_positions, columns, least, to, sums_stride);
      for (int r = 0; r < rows && least < most; ++r) {  // the positions that only some of the tile's rows see
        auto sum = Vector::load(to + r * sums_stride);
        for (std::int64_t j = least; j < work.visible[i + r]; ++j) {
          sum = Vector::add(
              sum, Vector::mul(Vector::splat(p[r * chunk_positions + j]), load_kv<Vector, type>(columns.data, j * stride)));
        }
        Vector::store(to + r * sums_stride, sum);
      }
    });
  }
}

// out = out * keep + from * take over head_dim elements.
template <class Vector>
void combine(float* out, float keep, const float* from, float take, std::int64_t head_dim) {
  std::int64_t d = 0;
  for (; d + width <= head_dim; d += width) {
    Vector::store(out + d, Vector::add(Vector::mul(Vector::load(out + d), Vector::splat(keep)),
                                       Vector::mul(Vector::load(from + d), Vector::splat(take))));
  }
  for (; d < head_dim; ++d) out[d] = out[d] * keep + from[d] * take;
}

template <class Vector>
void copy(float* out, const float* from, std::int64_t n) {
  std::int64_t d = 0;
  for (; d + width <= n; d += width) Vector::store(out + d, Vector::load(from + d));
  for (; d < n; ++d) out[d] = from[d];
}

// Brings `from` into `into`, query by query: sixteen factors at a time, since each is an exp.
template <class Vector>
void merge_states(const AttentionState& into, const AttentionState& from, std::int64_t queries, std::int64_t head_dim) {
  for (std::int64_t first = 0; first < queries; first += width) {
    const std::int64_t count = queries - first < width ? queries - first : width;
    float before[width] = {}, after[width] = {}, keep[width], take[width];
    for (std::int64_t i = 0; i < count; ++i) before[i] = into.max[first + i], after[i] = from.max[first + i];
    const auto old = Vector::load(before), fresh = Vector::load(after), merged = Vector::larger(fresh, old);
    Vector::store(keep, Vector::exp(Vector::sub(old, merged)));
    Vector::store(take, Vector::exp(Vector::sub(fresh, merged)));
    Vector::store(after, merged);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t query = first + i;
      if (from.sum[query] == 0.0f) continue;  // saw nothing
      if (into.sum[query] == 0.0f) {
        into.max[query] = from.max[query], into.sum[query] = from.sum[query];
        copy<Vector>(into.out + query * head_dim, from.out + query * head_dim, head_dim);
        continue;
      }
      into.max[query] = after[i];
      into.sum[query] = into.sum[query] * keep[i] + from.sum[query] * take[i];
      combine<Vector>(into.out + query * head_dim, keep[i], from.out + query * head_dim, take[i], head_dim);
    }
  }
}

// Leaves exp(score - max) * value of each query in scratch.sums, its largest score in max and its sum in sum (0: saw nothing).
template <class Vector, KvType type>
void attend_chunk(const ChunkWork& work, const AttentionScratch& scratch, float* max, float* sum) {
  const std::int64_t head_dim = work.head_dim, panels = value_panels(head_dim);
  const bool one_tile = work.queries <= Vector::tile_rows;
  if (one_tile) {
    all_scores<Vector, type, true>(work, work.chunk.keys, chunk_positions, width, scratch.weights);
  } else {
    for (std::int64_t i = 0; i < head_dim * chunk_positions; i += width) {
      Vector::store(scratch.key_panels + i % chunk_positions * head_dim + i / chunk_positions * width,
                    load_kv<Vector, type>(work.chunk.keys, i));
    }
    all_scores<Vector, KvType::f32, false>(work, reinterpret_cast<const std::byte*>(scratch.key_panels), width,
                                           head_dim * width, scratch.weights);
  }
  for (std::int64_t i = 0; i < work.queries; ++i) {
    max[i] = -__builtin_inff(), sum[i] = 0.0f;
    if (work.visible[i] == 0) continue;
    softmax_weights<Vector, type>(work.chunk, work.hidden[i], work.visible[i], scratch.weights + i * chunk_positions, max[i],
                                  sum[i]);
  }
  if (one_tile) return all_values<Vector, type, true>(work, work.chunk.values, head_dim, scratch.weights, scratch.sums);
  for (std::int64_t j = 0; j < work.most; ++j) {
    for (std::int64_t panel = 0; panel < panels; ++panel) {
      Vector::store(scratch.value_panels + (panel * chunk_positions + j) * width,
                    load_kv<Vector, type>(work.chunk.values, j * head_dim + value_panel(panel, head_dim)));
    }
  }
  all_values<Vector, KvType::f32, false>(work, reinterpret_cast<const std::byte*>(scratch.value_panels), width, scratch.weights,
                                         scratch.sums);
}

// At most attention_block queries; head_dim at least 16.
template <class Vector, KvType type>
void attend_block(const KvChunk* chunks, std::int64_t count, const float* q, std::int64_t queries, const std::int32_t* hidden,
                  const std::int32_t* visible, std::int64_t head_dim, const AttentionState& state, std::byte* memory) {
  const AttentionScratch scratch = attention_scratch(memory, head_dim);
  std::int32_t before[attention_block], seen[attention_block];
  float max[attention_block], sum[attention_block];
  const auto in_chunk = [](std::int64_t n) {
    return static_cast<std::int32_t>(n < 0 ? 0 : n < chunk_positions ? n : chunk_positions);
  };
  for (std::int64_t i = 0; i < queries; ++i) state.max[i] = -__builtin_inff(), state.sum[i] = 0.0f;
  for (std::int64_t d = 0; d < queries * head_dim; ++d) state.out[d] = 0.0f;
  for (std::int64_t c = 0; c < count; ++c) {
    ChunkWork work{chunks[c], chunks[c + 1 < count ? c + 1 : c].keys, q, before, seen, queries, head_dim, 0};
    for (std::int64_t i = 0; i < queries; ++i) {
      before[i] = in_chunk(hidden[i] - c * chunk_positions), seen[i] = in_chunk(visible[i] - c * chunk_positions);
      if (before[i] >= seen[i]) seen[i] = 0;
      work.most = seen[i] > work.most ? seen[i] : work.most;
    }
    if (work.most == 0) continue;
    attend_chunk<Vector, type>(work, scratch, max, sum);
    merge_states<Vector>(state, {max, sum, scratch.sums}, queries, head_dim);
  }
}

template <class Vector>
void attend_with(KvType type, const KvChunk* chunks, std::int64_t count, const float* q, std::int64_t queries,
                 const std::int32_t* hidden, const std::int32_t* visible, std::int64_t head_dim, const AttentionState& state,
                 std::byte* scratch) {
  const auto block = type == KvType::f32   ? attend_block<Vector, KvType::f32>
                     : type == KvType::f16 ? attend_block<Vector, KvType::f16>
                                           : attend_block<Vector, KvType::int8>;
  for (std::int64_t i = 0; i < queries; i += attention_block) {
    block(chunks, count, q + i * head_dim, queries - i < attention_block ? queries - i : attention_block, hidden + i,
          visible + i, head_dim, {state.max + i, state.sum + i, state.out + i * head_dim}, scratch);
  }
}

}  // namespace
}  // namespace bitnet
