// Statistics of a weight, and the bounds they must keep.
#include "models/weight_check.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "common/error.h"

namespace bitnet {
namespace {

constexpr float largest_value = 1e4f, largest_scale = 1e3f, smallest_scale = 1e-8f;
constexpr double fewest_zeros = 0.01, most_zeros = 0.99;
constexpr std::int64_t few_weights = 256;  // whose shares say nothing

struct Statistics {
  std::int64_t weights = 0, not_finite = 0, zeros = 0, positive = 0;
  float largest = 0;

  void add(const Statistics& other) {
    weights += other.weights, not_finite += other.not_finite, zeros += other.zeros, positive += other.positive;
    largest = std::max(largest, other.largest);
  }
};

Statistics of_values(std::span<const float> values) {
  Statistics s;
  s.weights = static_cast<std::int64_t>(values.size());
  for (const float value : values) {
    s.not_finite += std::isfinite(value) ? 0 : 1;
    s.zeros += value == 0 ? 1 : 0;
    s.positive += value > 0 ? 1 : 0;
    if (std::fabs(value) > s.largest && std::isfinite(value)) s.largest = std::fabs(value);
  }
  return s;
}

Statistics of_codes(std::span<const std::uint8_t> codes) {
  Statistics s;
  s.weights = static_cast<std::int64_t>(codes.size());
  for (const std::uint8_t code : codes) s.zeros += code == 1 ? 1 : 0, s.positive += code == 2 ? 1 : 0;
  return s;
}

Statistics measure(const WeightRows& rows, ThreadPool& pool) {
  Statistics all;
  std::mutex mutex;
  pool.split(rows.rows(), 1, [&](std::int64_t begin, std::int64_t end) {
    const auto cols = static_cast<std::size_t>(rows.cols());
    std::vector<float> values(rows.scales() ? 0 : cols);
    std::vector<std::uint8_t> codes(rows.scales() ? cols : 0);
    Statistics part;
    for (std::int64_t r = begin; r < end; ++r) {
      if (rows.scales()) {
        rows.codes(r, codes.data());
        part.add(of_codes(codes));
      } else {
        rows.values(r, values.data());
        part.add(of_values(values));
      }
    }
    const std::lock_guard lock(mutex);
    all.add(part);
  });
  return all;
}

void check_scales(const TernaryScales& scales, std::vector<std::string>& problems) {
  std::int64_t zero = 0, absurd = 0;
  float example = 0;
  for (const float scale : scales.values) {
    const float magnitude = std::fabs(scale);
    if (magnitude == 0) {
      ++zero;
    } else if (!(magnitude >= smallest_scale && magnitude <= largest_scale)) {
      ++absurd, example = scale;
    }
  }
  if (zero == static_cast<std::int64_t>(scales.values.size())) problems.push_back("every scale is zero");
  if (absurd != 0) {
    problems.push_back(fmt::format("{} of {} scales are absurd, one is {}, they lie between {} and {}", absurd,
                                   scales.values.size(), example, smallest_scale, largest_scale));
  }
}

void check_codes(const Statistics& s, std::vector<std::string>& problems) {
  if (s.weights < few_weights) return;
  const double zeros = static_cast<double>(s.zeros) / static_cast<double>(s.weights);
  if (zeros < fewest_zeros || zeros > most_zeros) {
    problems.push_back(fmt::format("{:.2f} % of the codes are zeros, they lie between {} and {} %", 100 * zeros,
                                   100 * fewest_zeros, 100 * most_zeros));
  }
  const std::int64_t others = s.weights - s.zeros;
  if (others >= few_weights && (s.positive == 0 || s.positive == others)) {
    problems.push_back(fmt::format("all {} codes that are not zero have the same sign", others));
  }
}

void check_values(const Statistics& s, std::vector<std::string>& problems) {
  if (s.not_finite != 0) problems.push_back(fmt::format("{} of {} values are NaN or infinite", s.not_finite, s.weights));
  if (s.zeros == s.weights) problems.push_back(fmt::format("all {} values are zero", s.weights));
  if (s.largest > largest_value) {
    problems.push_back(fmt::format("a value of magnitude {} is absurd, they are at most {}", s.largest, largest_value));
  }
}

}  // namespace

std::vector<std::string> weight_problems(const SourceWeight& weight, ThreadPool& pool) {
  std::vector<std::string> problems;
  try {
    const WeightRows rows(weight, pool);
    const Statistics statistics = measure(rows, pool);
    if (rows.scales()) {
      check_scales(*rows.scales(), problems);
      check_codes(statistics, problems);
    } else {
      check_values(statistics, problems);
    }
  } catch (const Error& e) {
    problems.emplace_back(e.what());
  }
  weight.map->discard(weight.view.bytes);
  return problems;
}

}  // namespace bitnet
