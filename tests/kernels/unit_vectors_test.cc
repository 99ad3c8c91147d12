// Activation quantisation and ternary matmul against the numeric specification's own vectors.
#include <gtest/gtest.h>

#include <fstream>
#include <numeric>
#include <vector>

#include "common/checked.h"
#include "kernels/dispatch.h"
#include "kernels/ternary_layout.h"
#include "support/npz.h"

namespace bitnet {
namespace {

const std::string unit_path = BITNET_SOURCE_DIR "/../shared/oracle/vectors/unit.npz";

class UnitVectors : public testing::TestWithParam<std::int64_t> {};

TEST_P(UnitVectors, AreReproducedExactly) {
  if (!std::ifstream(unit_path)) GTEST_SKIP() << "no oracle at " << unit_path;
  const test::Npz npz(unit_path);
  const std::int64_t cols = GetParam(), rows = 24, tokens = 12, padded = round_up(cols, ternary_line_cols);
  const std::string k = std::to_string(cols);
  const auto x = npz.get<float>("x" + k), a_scale = npz.get<float>("ascale" + k), y = npz.get<float>("y" + k);
  const auto act = npz.get<std::int8_t>("act" + k), codes = npz.get<std::int8_t>("codes" + k);
  const auto acc = npz.get<std::int32_t>("acc" + k);
  const std::vector<float> w_scales(24, npz.get<float>("wscale" + k)[0]), ones(24, 1.0f);
  std::vector<std::uint8_t> lines(static_cast<std::size_t>(ternary_lines_bytes(rows, cols)));
  for (std::int64_t r = 0; r < rows; ++r) {
    std::vector<std::uint8_t> row;
    for (std::int64_t c = 0; c < cols; ++c)
      row.push_back(static_cast<std::uint8_t>(codes[static_cast<std::size_t>(r * cols + c)] + 1));
    pack_ternary_row(row.data(), cols, r, lines.data());
  }
  for (const KernelTable* table : kernel_tables()) {
    SCOPED_TRACE(table->name);
    std::vector<std::int8_t> q(static_cast<std::size_t>(tokens * padded));
    std::vector<float> scales(12), sums_as_float(12 * 24), out(12 * 24);
    std::vector<std::int32_t> sums(12);
    for (std::size_t t = 0; t < 12; ++t) {
      std::int8_t* row = q.data() + static_cast<std::int64_t>(t) * padded;
      table->quantise(x.data() + static_cast<std::int64_t>(t) * cols, cols, padded, row, &scales[t], &sums[t]);
      const auto expected = act.begin() + static_cast<std::int64_t>(t) * cols;
      EXPECT_TRUE(std::equal(row, row + cols, expected)) << "token " << t;
      EXPECT_EQ(scales[t], a_scale[t]);
      EXPECT_EQ(sums[t], std::accumulate(expected, expected + cols, 0));
    }
    std::vector<std::byte> scratch(static_cast<std::size_t>(kernel_scratch_bytes(padded, 1)));
    const QuantisedRows quantised{q.data(), scales.data(), sums.data(), tokens, padded};
    const QuantisedRows unscaled{q.data(), ones.data(), sums.data(), tokens, padded};
    table->ternary_matmul({lines.data(), ones.data(), rows, padded}, 0, rows, unscaled, sums_as_float.data(), rows,
                          scratch.data());
    table->ternary_matmul({lines.data(), w_scales.data(), rows, padded}, 0, rows, quantised, out.data(), rows, scratch.data());
    for (std::size_t i = 0; i < out.size(); ++i) {
      EXPECT_EQ(sums_as_float[i], static_cast<float>(acc[i])) << i;
      EXPECT_EQ(out[i], y[i]) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Oracle, UnitVectors, testing::Values(128, 384, 768));

}  // namespace
}  // namespace bitnet
