// The mean in one order of additions, then comparisons in place of rounding.
#include "quantization/absmean.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/error.h"
#include "kernels/kernel_table.h"

namespace bitnet {
namespace {

constexpr std::int64_t lanes = 16;

void decode_row(const TensorView& tensor, std::int64_t row, std::vector<float>& weights) {
  const std::int64_t cols = tensor.shape.cols();
  const auto row_bytes = static_cast<std::int64_t>(tensor.bytes.size()) / tensor.shape.rows();
  weights.resize(static_cast<std::size_t>(cols));
  scalar_table().decode(tensor.type, tensor.bytes.data() + row * row_bytes, cols, weights.data());
}

double sum_of_magnitudes(const std::vector<float>& row) {
  double sums[lanes] = {};
  const std::size_t whole = row.size() / lanes * lanes;
  for (std::size_t i = 0; i < whole; i += lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) sums[lane] += static_cast<double>(std::fabs(row[i + lane]));
  }
  for (std::size_t i = whole; i < row.size(); ++i) sums[i - whole] += static_cast<double>(std::fabs(row[i]));
  for (std::size_t apart = lanes / 2; apart > 0; apart /= 2) {
    for (std::size_t lane = 0; lane < apart; ++lane) sums[lane] += sums[lane + apart];
  }
  return sums[0];
}

}  // namespace

Absmean find_absmean(const TensorView& tensor, std::string_view name, ThreadPool& pool) {
  const std::int64_t rows = tensor.shape.rows();
  std::vector<double> sums(static_cast<std::size_t>(rows));
  pool.split(rows, 16, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> weights;
    for (std::int64_t r = begin; r < end; ++r) {
      decode_row(tensor, r, weights);
      sums[static_cast<std::size_t>(r)] = sum_of_magnitudes(weights);
    }
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  if (!std::isfinite(total)) fail(ErrorKind::bad_model, "tensor '{}': a weight is not finite", printable(name));
  const auto mean = static_cast<float>(total / static_cast<double>(tensor.shape.elements()));
  if (mean > 1e30f)
    fail(ErrorKind::bad_model, "tensor '{}': the mean of its weights is {}, at most 1e30 is allowed", printable(name), mean);
  const float factor = 1.0f / std::max(mean, 1e-5f);
  return {factor, 1.0f / factor};
}

void absmean_row(const TensorView& tensor, const Absmean& absmean, std::int64_t row, std::uint8_t* codes) {
  std::vector<float> weights;
  decode_row(tensor, row, weights);
  for (std::size_t c = 0; c < weights.size(); ++c) {
    const float scaled = weights[c] * absmean.factor;
    // Rounded half to even, one half itself becomes 0.
    codes[c] = static_cast<std::uint8_t>(1 + (scaled > 0.5f) - (scaled < -0.5f));
  }
}

}  // namespace bitnet
