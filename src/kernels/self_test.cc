// Compares a kernel table with the scalar one, operation by operation, on fixed pseudo-random problems.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "common/checked.h"
#include "common/half.h"
#include "kernels/dispatch.h"
#include "kernels/ternary_layout.h"

namespace bitnet {
namespace {

// A small generator with fixed results everywhere (SplitMix64, Steele et al. 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
  }
  int below(int n) { return static_cast<int>(next() % static_cast<std::uint64_t>(n)); }
  float real() { return static_cast<float>(static_cast<std::int64_t>(next() >> 40) - (1 << 23)) * 0x1p-22f; }  // [-2, 2)
  std::vector<float> reals(std::int64_t n) {
    std::vector<float> v(static_cast<std::size_t>(n));
    for (float& x : v) x = real();
    return v;
  }

 private:
  std::uint64_t state_;
};

bool equal(const std::vector<float>& a, const std::vector<float>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;  // the bits of a NaN are nobody's promise
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) return false;
  }
  return a.size() == b.size();
}

struct Scratch {
  std::vector<std::byte> bytes = std::vector<std::byte>(1 << 20);
  std::byte* get() { return bytes.data(); }
};

// Runs `problem(table)` -> floats on both tables.
template <class Problem>
bool agrees(const KernelTable& table, const Problem& problem) {
  return equal(problem(table), problem(scalar_table()));
}

std::vector<float> quantised(std::int64_t n, const std::vector<std::int8_t>& q, float scale, std::int32_t sum) {
  std::vector<float> out(q.begin(), q.begin() + n);
  out.push_back(scale), out.push_back(static_cast<float>(sum));
  return out;
}

bool norms_agree(const KernelTable& table) {
  bool same = true;
  for (const std::int64_t n : {1, 7, 16, 31, 96, 640, 2560, 6912}) {
    for (const float special : {0.0f, 1e-7f, 1e20f, std::numeric_limits<float>::infinity(), std::nanf("")}) {
      Random random(static_cast<std::uint64_t>(n));
      std::vector<float> x = random.reals(n);
      const std::vector<float> gain = random.reals(n);
      if (special != 0.0f) x[static_cast<std::size_t>(n / 2)] = special;
      const std::int64_t padded = round_up(n, ternary_line_cols);
      const auto run = [&](const KernelTable& t, int which) {
        std::vector<std::int8_t> q(static_cast<std::size_t>(padded));
        std::vector<float> y(static_cast<std::size_t>(n));
        float scale = 0;
        std::int32_t sum = 0;
        if (which == 0) return t.rms_norm(x.data(), gain.data(), 1e-5f, n, y.data()), y;
        if (which == 1) t.quantise(x.data(), n, padded, q.data(), &scale, &sum);
        if (which == 2) t.rms_norm_quantise(x.data(), gain.data(), 1e-5f, n, padded, q.data(), &scale, &sum);
        return quantised(padded, q, scale, sum);
      };
      for (const int which : {0, 1, 2}) same = same && agrees(table, [&](const KernelTable& t) { return run(t, which); });
    }
  }
  return same;
}

// Rows of codes 0 to 3, which ternary_rows() takes with small inputs.
bool fourth_code_agrees(const KernelTable& table, std::int64_t cols) {
  Random random(static_cast<std::uint64_t>(cols));
  const std::int64_t rows = 9, padded = round_up(cols, ternary_line_cols);
  std::vector<std::uint8_t> lines(static_cast<std::size_t>(ternary_lines_bytes(rows, cols)));
  for (std::size_t i = 0; i < lines.size(); ++i)
    lines[i] = static_cast<std::uint8_t>(i < lines.size() / 2 ? 255 : random.below(256));
  std::vector<std::int8_t> q(static_cast<std::size_t>(padded), 64);
  for (std::size_t i = 0; i < q.size() / 3; ++i) q[i] = static_cast<std::int8_t>(random.below(129) - 64);
  const std::vector<float> w_scales = random.reals(rows);
  const float x_scale = 1;
  const std::int32_t sum = std::accumulate(q.begin(), q.end(), 0);
  const std::vector<std::int32_t> listed = {0, 2, 3, 7, 8};
  return agrees(table, [&](const KernelTable& t) {
    std::vector<float> y(static_cast<std::size_t>(rows));
    t.ternary_rows({lines.data(), w_scales.data(), rows, padded}, listed.data(), 5, {q.data(), &x_scale, &sum, 1, padded},
                   y.data());
    return y;
  });
}

bool ternary_agrees(const KernelTable& table) {
  bool same = true;
  for (const std::int64_t cols : {128, 384, 2560, 6912}) {
    for (const std::int64_t tokens : {1, 2, 3, 5, 6, 7, 33}) {
      if (tokens == 33 && cols != 384) continue;  // once, with so many rows that a kernel may do otherwise than with few
      Random random(static_cast<std::uint64_t>(cols + tokens));
      const std::int64_t rows = tokens == 33 ? 400 : 21, padded = round_up(cols, ternary_line_cols);
      std::vector<std::uint8_t> lines(static_cast<std::size_t>(ternary_lines_bytes(rows, cols)));
      std::vector<std::uint8_t> codes(static_cast<std::size_t>(cols));
      for (std::int64_t r = 0; r < rows; ++r) {
        for (auto& code : codes) code = static_cast<std::uint8_t>(r == 4 ? 2 : r == 5 ? 0 : random.below(3));
        pack_ternary_row(codes.data(), cols, r, lines.data());
      }
      std::vector<std::int8_t> q(static_cast<std::size_t>(tokens * padded));
      std::vector<std::int32_t> sums(static_cast<std::size_t>(tokens));
      for (std::int64_t t = 0; t < tokens; ++t) {
        for (std::int64_t c = 0; c < cols; ++c) {
          const int value = t == 0 ? 127 : t == 1 ? -128 : random.below(256) - 128;
          q[static_cast<std::size_t>(t * padded + c)] = static_cast<std::int8_t>(value);
          sums[static_cast<std::size_t>(t)] += value;
        }
      }
      const std::vector<float> w_scales = random.reals(rows), x_scales(static_cast<std::size_t>(tokens), 3.7f);
      same = same && agrees(table, [&](const KernelTable& t) {
               std::vector<float> y(static_cast<std::size_t>(tokens * rows));
               Scratch scratch;
               t.ternary_matmul({lines.data(), w_scales.data(), rows, padded}, 3, rows,
                                {q.data(), x_scales.data(), sums.data(), tokens, padded}, y.data(), rows, scratch.get());
               return y;
             });
      const std::vector<std::int32_t> listed = {1, 4, 5, 6, 11, 18, 19};
      same = same && agrees(table, [&](const KernelTable& t) {
               std::vector<float> y(static_cast<std::size_t>(rows));
               t.ternary_rows({lines.data(), w_scales.data(), rows, padded}, listed.data(), std::min<std::int64_t>(tokens, 7),
                              {q.data(), x_scales.data(), sums.data(), 1, padded}, y.data());
               return y;
             });
    }
    same = same && fourth_code_agrees(table, cols);
  }
  return same;
}

bool combination_agrees(const KernelTable& table) {
  bool same = true;
  for (const std::int64_t cols : {256, 2560}) {
    for (const std::int64_t count : {0, 1, 2, 63, 64, 65, 300}) {
      Random random(static_cast<std::uint64_t>(cols + count));
      const std::int64_t rows = 400;
      std::vector<std::uint8_t> lines(static_cast<std::size_t>(ternary_lines_bytes(rows, cols)));
      std::vector<std::uint8_t> codes(static_cast<std::size_t>(cols));
      std::vector<std::int8_t> q;
      for (std::int64_t r = 0; r < rows; ++r) {
        for (auto& code : codes) code = static_cast<std::uint8_t>(r % 3 == 0 ? 2 : random.below(3));
        pack_ternary_row(codes.data(), cols, r, lines.data());
        q.push_back(static_cast<std::int8_t>(r % 3 == 0 ? -128 : random.below(256) - 128));
      }
      std::vector<std::int32_t> listed;  // with many of the extreme rows first
      for (std::int64_t i = 0; i < count; ++i) listed.push_back(static_cast<std::int32_t>(i < 130 ? 3 * i : i));
      same = same && agrees(table, [&](const KernelTable& t) {
               std::vector<std::int32_t> sums(static_cast<std::size_t>(cols), 5);
               t.ternary_combine({lines.data(), nullptr, rows, cols}, listed.data(), count, q.data(), sums.data());
               return std::vector<float>(sums.begin(), sums.end());  // all below 24 bits
             });
    }
  }
  return same;
}

// Random blocks whose half-precision scales are finite: the two bytes at each given place.
std::vector<std::byte> random_blocks(DataType type, std::int64_t rows, std::int64_t cols, Random& random) {
  std::vector<std::byte> blocks(*data_bytes(type, static_cast<std::uint64_t>(rows * cols), static_cast<std::uint64_t>(cols)));
  for (auto& b : blocks) b = static_cast<std::byte>(random.below(256));
  if (type == DataType::f32) {
    for (std::size_t i = 3; i < blocks.size(); i += 4) blocks[i] = static_cast<std::byte>(0x3e | random.below(2) << 7);
  } else {
    for (std::size_t i = 1; i < blocks.size(); i += 2)
      blocks[i] &= static_cast<std::byte>(0xbf);  // clears the top exponent bit
  }
  return blocks;
}

bool dense_agrees(const KernelTable& table) {
  bool same = true;
  for (const DataTypeInfo& type : data_types()) {
    if (!type.rows_apart) continue;
    const DataType data_type = type.type;
    const bool any_cols = type.block == 1;
    for (const std::int64_t tokens : {1, 2, 5}) {
      Random random(static_cast<std::uint64_t>(static_cast<int>(data_type) * 10 + tokens));
      const std::int64_t rows = 5, cols = any_cols ? 100 : 512;
      const auto blocks = random_blocks(data_type, rows, cols, random);
      const std::vector<float> x = random.reals(tokens * cols);
      const std::int64_t row_bytes = static_cast<std::int64_t>(blocks.size()) / rows;
      same = same && agrees(table, [&](const KernelTable& t) {
               std::vector<float> y(static_cast<std::size_t>(tokens * rows));
               Scratch scratch;
               t.dense_matmul({data_type, blocks.data(), rows, cols, row_bytes}, 0, rows, x.data(), tokens, cols, y.data(),
                              rows, scratch.get());
               return y;
             });
      same = same && agrees(table, [&](const KernelTable& t) {
               std::vector<float> y(static_cast<std::size_t>(cols));
               t.decode(data_type, blocks.data(), cols, y.data());
               return y;
             });
    }
  }
  return same;
}

bool scan_agrees(const KernelTable& table) {
  bool same = true;
  struct Shape {
    std::int64_t cols, rows, inputs;
  };
  for (const auto [cols, rows, inputs] : {Shape{256, 75, 5}, Shape{768, 34, 7}, Shape{2560, 11, 6}}) {
    Random random(static_cast<std::uint64_t>(cols));
    std::vector<std::uint8_t> w(static_cast<std::size_t>(rows * cols / six_bit_block_cols * six_bit_block_bytes));
    std::vector<std::int8_t> x(static_cast<std::size_t>(2 * inputs * cols));
    const std::size_t row_bytes = w.size() / static_cast<std::size_t>(rows);
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<std::uint8_t>(i / row_bytes == 2 ? 255 : random.below(256));
    for (auto& value : x) value = static_cast<std::int8_t>(random.below(2) == 0 ? -64 : random.below(128) - 64);
    for (std::int64_t c = 0; c < cols; ++c) x[static_cast<std::size_t>(2 * cols + c)] = 64;  // and the highest
    same = same && agrees(table, [&](const KernelTable& t) {
             std::vector<std::int32_t> y(static_cast<std::size_t>((inputs + 1) * rows));
             t.six_bit_scan(w.data(), cols, 1, rows, x.data(), inputs, y.data(), rows);
             t.six_bit_scan(w.data(), cols, 1, rows, x.data() + 2 * cols, 1, y.data() + inputs * rows, rows);
             std::vector<float> halves;  // a float holds 24 bits
             for (const std::int32_t sum : y) {
               halves.push_back(static_cast<float>(sum >> 16)), halves.push_back(static_cast<float>(sum & 0xffff));
             }
             return halves;
           });
  }
  return same;
}

bool errors_agree(const KernelTable& table) {
  bool same = true;
  for (const std::int64_t n : {1, 15, 16, 100, 2560}) {
    Random random(static_cast<std::uint64_t>(n));
    const std::vector<float> x = random.reals(n);
    std::vector<std::int8_t> q;
    for (std::int64_t i = 0; i < n; ++i) q.push_back(static_cast<std::int8_t>(random.below(256) - 128));
    same = same && agrees(table, [&](const KernelTable& t) {
             std::vector<float> sums(2);
             t.quantisation_error(x.data(), q.data(), 0.0173f, n, &sums[0], &sums[1]);
             return sums;
           });
  }
  return same;
}

// Few queries and many; runs of equal and of growing visibility, none and all; one more chunk than the last ones see.
bool attention_agrees(const KernelTable& table) {
  bool same = true;
  constexpr std::int64_t chunk_count = 3, positions = chunk_count * kv_chunk_positions;
  for (const KvType type : {KvType::f32, KvType::f16, KvType::int8}) {
    for (const std::int64_t head_dim : {8, 32, 96, 100, 128}) {
      Random random(static_cast<std::uint64_t>(head_dim));
      const std::vector<float> keys = random.reals(positions * head_dim), values = random.reals(positions * head_dim);
      for (const std::int64_t queries : {1, 4, 7, 31, 66}) {
        const std::vector<float> q = random.reals(queries * head_dim);
        std::vector<std::int32_t> hidden, visible;
        for (std::int64_t i = 0; i < queries; ++i) {
          const std::int64_t steps[] = {positions, 2 * i, 60 + i / 4, 128};
          visible.push_back(static_cast<std::int32_t>(steps[i / 4 % 4]));
          const std::int64_t windows[] = {0, 3 * i, positions, visible.back() - 70};  // the last two may hide chunks, or all
          hidden.push_back(static_cast<std::int32_t>(std::max<std::int64_t>(windows[i / 2 % 4], 0)));
        }
        const std::vector<std::int32_t> none(q.size(), 0), some(q.size(), 17);
        same = same && agrees(table, [&](const KernelTable& t) {
                 const auto n = static_cast<std::size_t>(kv_chunk_positions * head_dim);
                 std::vector<float> memory(chunk_count * (2 * n + 2 * kv_chunk_positions));
                 std::vector<KvChunk> chunks;
                 for (std::size_t c = 0; c < chunk_count; ++c) {
                   float* at = memory.data() + c * (2 * n + 2 * kv_chunk_positions);
                   chunks.push_back({reinterpret_cast<std::byte*>(at), reinterpret_cast<std::byte*>(at + n), at + 2 * n,
                                     at + 2 * n + kv_chunk_positions});
                 }
                 for (std::int64_t j = 0; j < positions; ++j) {
                   t.kv_store(type, keys.data() + j * head_dim, values.data() + j * head_dim, head_dim,
                              chunks[static_cast<std::size_t>(j / kv_chunk_positions)], j % kv_chunk_positions);
                 }
                 std::vector<float> states(static_cast<std::size_t>(2 * queries * (head_dim + 2)));
                 const auto state = [&](std::int64_t which) -> AttentionState {
                   float* at = states.data() + which * queries * (head_dim + 2);
                   return {at, at + queries, at + 2 * queries};
                 };
                 Scratch scratch;
                 t.attend(type, chunks.data(), chunk_count, q.data(), queries, hidden.data(), visible.data(), head_dim,
                          state(0), scratch.get());
                 t.attend(type, chunks.data() + 1, 1, q.data(), queries, none.data(), some.data(), head_dim, state(1),
                          scratch.get());
                 t.merge_states(state(1), state(0), queries, head_dim);
                 return states;
               });
      }
    }
  }
  return same;
}

bool elementwise_agrees(const KernelTable& table) {
  bool same = true;
  for (const std::int64_t n : {1, 8, 15, 100, 6912}) {
    Random random(static_cast<std::uint64_t>(n));
    std::vector<float> a = random.reals(n), b = random.reals(n);
    for (float& x : a) x *= 30.0f;
    for (const Activation activation : {Activation::relu2, Activation::silu, Activation::gelu}) {
      same = same && agrees(table, [&](const KernelTable& t) {
               std::vector<float> y(a.size());
               t.gate(activation, a.data(), b.data(), n, y.data());
               return y;
             });
    }
    for (int which = 0; which < 3; ++which) {
      same = same && agrees(table, [&](const KernelTable& t) {
               std::vector<float> y = a;
               if (which == 0) t.add(y.data(), b.data(), n);
               if (which == 1) t.scale(y.data(), 0.37f, n);
               if (which == 2) t.softmax(y.data(), n);
               return y;
             });
    }
  }
  for (const RopeKind kind : {RopeKind::neox, RopeKind::norm}) {
    for (const std::int64_t rope_dim : {32, 96, 100, 128}) {
      Random random(static_cast<std::uint64_t>(rope_dim));
      const std::vector<float> x = random.reals(3 * 128), cos = random.reals(64), sin = random.reals(64);
      same = same && agrees(table, [&](const KernelTable& t) {
               std::vector<float> y = x;
               t.rope(y.data(), 3, 128, rope_dim, kind, cos.data(), sin.data());
               return y;
             });
    }
  }
  return same;
}

}  // namespace

std::vector<std::string> self_test(const KernelTable& table) {
  std::vector<std::string> different;
  if (!norms_agree(table)) different.emplace_back("norm and quantise");
  if (!ternary_agrees(table)) different.emplace_back("ternary matmul");
  if (!combination_agrees(table)) different.emplace_back("ternary combination");
  if (!dense_agrees(table)) different.emplace_back("dense matmul");
  if (!scan_agrees(table)) different.emplace_back("six-bit scan");
  if (!errors_agree(table)) different.emplace_back("quantisation error");
  if (!attention_agrees(table)) different.emplace_back("attention");
  if (!elementwise_agrees(table)) different.emplace_back("elementwise");
  return different;
}

}  // namespace bitnet
