// Chunked attention against a plain softmax in double precision.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/dispatch.h"

namespace bitnet {
namespace {

struct Problem {
  std::int64_t head_dim, positions;
  std::vector<float> keys, values, q;

  Problem(std::int64_t dim, std::int64_t count, std::uint32_t seed) : head_dim(dim), positions(count) {
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
    for (std::size_t j = 0; j < p.size(); ++j) {
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

  std::vector<float> run(const KernelTable& table, KvType type) const {
    const auto n = static_cast<std::size_t>(head_dim * kv_chunk_positions);
    std::vector<float> out(static_cast<std::size_t>(head_dim));
    float max = -std::numeric_limits<float>::infinity(), sum = 0;
    std::vector<std::byte> scratch(static_cast<std::size_t>(kernel_scratch_bytes(0, head_dim)));
    for (std::int64_t first = 0; first < positions; first += kv_chunk_positions) {
      std::vector<float> keys_memory(n), values_memory(n), key_scales(64), value_scales(64);
      const KvChunk chunk{reinterpret_cast<std::byte*>(keys_memory.data()), reinterpret_cast<std::byte*>(values_memory.data()),
                          key_scales.data(), value_scales.data()};
      const std::int64_t count = std::min(positions - first, kv_chunk_positions);
      for (std::int64_t j = 0; j < count; ++j) {
        table.kv_store(type, keys.data() + (first + j) * head_dim, values.data() + (first + j) * head_dim, head_dim, chunk, j);
      }
      const auto visible = static_cast<std::int32_t>(count);
      table.attend(type, chunk, q.data(), 1, &visible, head_dim, {&max, &sum, out.data()}, scratch.data());
    }
    for (float& x : out) x /= sum;
    return out;
  }
};

TEST(Attention, IsASoftmaxOverAllChunks) {
  for (const auto& [type, tolerance] : {std::pair{KvType::f32, 2e-6}, {KvType::f16, 1e-3}, {KvType::int8, 1.5e-2}}) {
    for (const std::int64_t head_dim : {32, 96, 100, 128}) {
      for (const std::int64_t positions : {1, 63, 64, 65, 300}) {
        const Problem problem(head_dim, positions, static_cast<std::uint32_t>(head_dim + positions));
        const std::vector<double> truth = problem.truth();
        for (const KernelTable* table : kernel_tables()) {
          const std::vector<float> out = problem.run(*table, type);
          for (std::size_t d = 0; d < truth.size(); ++d) {
            ASSERT_NEAR(static_cast<double>(out[d]), truth[d], tolerance)
                << table->name << " " << head_dim << " x " << positions;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace bitnet
