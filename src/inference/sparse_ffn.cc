// Turning matrices over, and timing whether picking pays.
#include "inference/sparse_ffn.h"

#include <algorithm>
#include <vector>

#include "common/stopwatch.h"
#include "kernels/ternary_layout.h"

namespace bitnet {
namespace {

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

template <class Body>
double seconds(const Body& body) {
  const Stopwatch stopwatch;
  body();
  return stopwatch.seconds();
}

// Every fourth is picked: the time of picking grows with the share, so one share gives them all.
constexpr std::int64_t sampled = 4;

struct Trial {
  const KernelTable& kernels;
  ThreadPool& pool;
  std::vector<std::int8_t> q;
  float scale = 1;
  std::int32_t sum = 0;
  std::vector<std::int32_t> picked;
  std::vector<float> y;
  std::vector<std::vector<std::int32_t>> sums;

  QuantisedRows input(std::int64_t cols) const { return {q.data(), &scale, &sum, 1, cols}; }

  double all(const TernaryMatrix& w) {
    return seconds([&] {
      pool.split(w.rows, 16, [&](std::int64_t b, std::int64_t e) {
        kernels.ternary_matmul(w, b, e, input(w.cols), y.data(), w.rows, nullptr);
      });
    });
  }
  double some_rows(const TernaryMatrix& w) {
    return seconds([&] {
      pool.split(w.rows / sampled, 1, [&](std::int64_t b, std::int64_t e) {
        kernels.ternary_rows(w, picked.data() + b, e - b, input(w.cols), y.data());
      });
    });
  }
  double some_columns(const TernaryMatrix& w) {
    return seconds([&] {
      pool.run([&](int part, int parts) {
        const auto [b, e] = ThreadPool::part(w.rows / sampled, 1, part, parts);
        kernels.ternary_combine(w, picked.data() + b, e - b, q.data(), sums[static_cast<std::size_t>(part)].data());
      });
    });
  }
};

}  // namespace

std::optional<DownColumns> turn_over(const Linear& down, ThreadPool& pool) {
  if (down.parts().size() != 1 || !down.parts().front().is_ternary) return std::nullopt;
  const TernaryMatrix& w = down.parts().front().ternary;
  DownColumns columns;
  columns.lines = Buffer(static_cast<std::size_t>(ternary_lines_bytes(w.cols, w.rows)));
  auto* lines = columns.lines.as<std::uint8_t>();
  pool.split(w.cols / ternary_line_cols, 1,
             [&](std::int64_t begin, std::int64_t end) { turn_ternary_over(w, begin, end, lines); });
  columns.matrix = {lines, nullptr, down.cols(), ternary_lines_bytes(1, w.rows) / ternary_line_bytes * ternary_line_cols};
  columns.scales = w.scales;
  return columns;
}

SparseLimits measure_sparse_limits(std::span<const SparseSample> layers, const KernelTable& kernels, ThreadPool& pool) {
  if (layers.empty()) return {};
  const SparseSample& first = layers.front();
  const std::int64_t widest = std::max(first.up->cols, first.down->cols),
                     longest = std::max(first.up->rows, first.down_columns->rows);
  Trial trial{kernels, pool, std::vector<std::int8_t>(static_cast<std::size_t>(widest), 1), 1, 0, {}, {}, {}};
  for (std::int64_t i = 0; i < longest / sampled; ++i)
    trial.picked.push_back(static_cast<std::int32_t>(sampled * i + i % sampled));
  trial.y.resize(static_cast<std::size_t>(std::max(first.up->rows, first.down->rows)));
  trial.sums.assign(static_cast<std::size_t>(pool.threads()),
                    std::vector<std::int32_t>(static_cast<std::size_t>(first.down_columns->cols)));
  std::vector<double> rows, columns;
  trial.all(*first.up);  // wakes the threads
  // Both ways on different layers, since what was just read is in the cache.
  const std::size_t count = std::min<std::size_t>(layers.size(), 16);
  for (std::size_t i = 0; i < count; i += 2) {
    const SparseSample &a = layers[i], &b = layers[std::min(i + 1, layers.size() - 1)];
    rows.push_back(trial.all(*a.up) / trial.some_rows(*b.up));
    columns.push_back(trial.all(*a.down) / trial.some_columns(*b.down_columns));
  }
  // A gain of less than a seventh is not worth having: near the limit the hardware's prefetcher reads what was left out.
  const auto limit = [](std::vector<double>& ratios) { return std::clamp(0.86 * median(ratios) / sampled, 0.0, 1.0); };
  return {limit(rows), limit(columns)};
}

}  // namespace bitnet
