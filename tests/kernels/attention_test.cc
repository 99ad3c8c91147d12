// Attention over chunks and spans, with and without a window, against a plain softmax in double precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/dispatch.h"

namespace bitnet {
namespace {

struct Problem {
  std::int64_t head_dim, positions, window;
  std::vector<float> keys, values, q;

  Problem(std::int64_t dim, std::int64_t count, std::int64_t seen, std::uint32_t seed)
      : head_dim(dim), positions(count), window(seen) {
    std::mt19937 random(seed);
    const auto fill = [&](std::vector<float>& v, std::int64_t n) {
      v.resize(static_cast<std::size_t>(n));
      for (float& x : v) x = static_cast<float>(random()) * 0x1p-31f - 1.0f;
    };
    fill(keys, dim * count), fill(values, dim * count), fill(q, dim);
  }

  std::vector<double> truth() const {
    std::vector<double> out(static_cast<std::size_t>(head_dim)), p(static_cast<std::size_t>(positions));
    double sum = 0;
    for (auto j = static_cast<std::size_t>(std::max<std::int64_t>(positions - window, 0)); j < p.size(); ++j) {
      double score = 0;
      for (std::size_t d = 0; d < out.size(); ++d)
        score += static_cast<double>(q[d]) * static_cast<double>(keys[j * out.size() + d]);
      sum += p[j] = std::exp(score);
    }
    for (std::size_t j = 0; j < p.size(); ++j) {
      for (std::size_t d = 0; d < out.size(); ++d) out[d] += p[j] / sum * static_cast<double>(values[j * out.size() + d]);
    }
    return out;
  }

  // Two spans, each of some chunks, merged.
  std::vector<float> run(const KernelTable& table, KvType type) const {
    const auto n = static_cast<std::size_t>(head_dim * kv_chunk_positions);
    const std::int64_t count = (positions + kv_chunk_positions - 1) / kv_chunk_positions;
    std::vector<std::vector<float>> memory;
    std::vector<KvChunk> chunks;
    for (std::int64_t c = 0; c < count; ++c) {
      float* at = memory.emplace_back(2 * n + 2 * kv_chunk_positions).data();
      chunks.push_back({reinterpret_cast<std::byte*>(at), reinterpret_cast<std::byte*>(at + n), at + 2 * n,
                        at + 2 * n + kv_chunk_positions});
    }
    for (std::int64_t j = 0; j < positions; ++j) {
      table.kv_store(type, keys.data() + j * head_dim, values.data() + j * head_dim, head_dim,
                     chunks[static_cast<std::size_t>(j / kv_chunk_positions)], j % kv_chunk_positions);
    }
    std::vector<float> out(static_cast<std::size_t>(head_dim)), other(out.size());
    float max, sum, other_max, other_sum;
    const AttentionState state{&max, &sum, out.data()}, second{&other_max, &other_sum, other.data()};
    std::vector<std::byte> scratch(static_cast<std::size_t>(kernel_scratch_bytes(0, head_dim)));
    const std::int64_t first = (count + 1) / 2;
    const auto before = static_cast<std::int32_t>(std::min(positions, first * kv_chunk_positions));
    const auto after = static_cast<std::int32_t>(positions - before);
    const auto hidden = static_cast<std::int32_t>(std::max<std::int64_t>(positions - window, 0));
    const auto hidden_after = std::max(hidden - static_cast<std::int32_t>(first * kv_chunk_positions), 0);
    table.attend(type, chunks.data(), first, q.data(), 1, &hidden, &before, head_dim, state, scratch.data());
    if (after > 0) {
      table.attend(type, chunks.data() + first, count - first, q.data(), 1, &hidden_after, &after, head_dim, second,
                   scratch.data());
      table.merge_states(state, second, 1, head_dim);
    }
    for (float& x : out) x /= sum;
    return out;
  }
};

void expect_softmax(std::int64_t head_dim, std::int64_t positions, std::int64_t window, KvType type, double tolerance) {
  const Problem problem(head_dim, positions, window, static_cast<std::uint32_t>(head_dim + positions));
  const std::vector<double> truth = problem.truth();
  for (const KernelTable* table : kernel_tables()) {
    const std::vector<float> out = problem.run(*table, type);
    for (std::size_t d = 0; d < truth.size(); ++d) {
      ASSERT_NEAR(static_cast<double>(out[d]), truth[d], tolerance)
          << table->name << " " << head_dim << " x " << positions << ", window " << window;
    }
  }
}

TEST(Attention, IsASoftmaxOverTheWindowOfAllChunks) {
  for (const auto& [type, tolerance] : {std::pair{KvType::f32, 2e-6}, {KvType::f16, 1e-3}, {KvType::int8, 1.5e-2}}) {
    for (const std::int64_t head_dim : {32, 96, 100, 128}) {
      for (const std::int64_t positions : {1, 63, 64, 65, 300}) {
        for (const std::int64_t window : {1000, 1, 40, 64, 65, 150, 299})
          expect_softmax(head_dim, positions, window, type, tolerance);
      }
    }
  }
}

}  // namespace
}  // namespace bitnet
