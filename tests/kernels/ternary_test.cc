// The ternary matmuls against a plain sum over unpacked codes, and the internal layout's drawing.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "common/checked.h"
#include "kernels/dispatch.h"
#include "kernels/ternary_layout.h"

namespace bitnet {
namespace {

TEST(TernaryLayout, PutsWeight64pPlusBInByteB) {
  std::vector<std::uint8_t> codes(256, 1), lines(static_cast<std::size_t>(ternary_lines_bytes(1, 256)));
  codes[3] = 2, codes[64 + 3] = 0, codes[192 + 3] = 2;
  pack_ternary_row(codes.data(), 256, 0, lines.data());
  EXPECT_EQ(lines.size(), 64u);
  EXPECT_EQ(lines[3], 2 | 0 << 2 | 1 << 4 | 2 << 6);
  EXPECT_EQ(lines[4], 0x55);
}

TEST(TernaryLayout, PutsRowBehindRow) {
  std::vector<std::uint8_t> codes(512, 1), lines(static_cast<std::size_t>(ternary_lines_bytes(8, 512)));
  codes[256] = 2;
  pack_ternary_row(codes.data(), 512, 6, lines.data());
  EXPECT_EQ(lines[(6 * 2 + 1) * 64], 0x56);
}

TEST(TernaryLayout, PadsColumnsWithZeroWeights) {
  std::vector<std::uint8_t> codes(128, 2), lines(static_cast<std::size_t>(ternary_lines_bytes(1, 128)));
  pack_ternary_row(codes.data(), 128, 0, lines.data());
  EXPECT_EQ(lines[0], 2 | 2 << 2 | 1 << 4 | 1 << 6);
}

TEST(TernaryLayout, TurnsOver) {
  std::mt19937 random(9);
  const std::int64_t rows = 300, cols = 500;
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(rows * cols));
  for (auto& code : codes) code = static_cast<std::uint8_t>(random() % 3);
  std::vector<std::uint8_t> lines(static_cast<std::size_t>(ternary_lines_bytes(rows, cols)));
  for (std::int64_t r = 0; r < rows; ++r) pack_ternary_row(codes.data() + r * cols, cols, r, lines.data());
  const TernaryMatrix w{lines.data(), nullptr, rows, 512};
  std::vector<std::uint8_t> turned(static_cast<std::size_t>(ternary_lines_bytes(512, rows)), 0xff), expected = turned;
  turn_ternary_over(w, 0, 1, turned.data());
  turn_ternary_over(w, 1, 2, turned.data());
  std::vector<std::uint8_t> column(static_cast<std::size_t>(rows));
  for (std::int64_t c = 0; c < 512; ++c) {
    for (std::int64_t r = 0; r < rows; ++r)
      column[static_cast<std::size_t>(r)] = c < cols ? codes[static_cast<std::size_t>(r * cols + c)] : 1;
    pack_ternary_row(column.data(), rows, c, expected.data());
  }
  EXPECT_EQ(turned, expected);
}

// Tokens around the sizes of tiles and groups, rows around those of panels; the first rows and tokens are the largest there
// are.
TEST(TernaryMatmul, IsThePlainSum) {
  const std::uint32_t seed = 20260101;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (const std::int64_t cols : {128, 256, 384, 1792, 2048, 2816, 6912}) {
    const std::int64_t rows = cols > 1792 ? 17 : 131, most_tokens = 19, padded = round_up(cols, ternary_line_cols);
    std::vector<std::vector<std::uint8_t>> codes(static_cast<std::size_t>(rows),
                                                 std::vector<std::uint8_t>(static_cast<std::size_t>(cols)));
    std::vector<std::uint8_t> lines(static_cast<std::size_t>(ternary_lines_bytes(rows, cols)));
    for (std::int64_t r = 0; r < rows; ++r) {
      for (auto& code : codes[static_cast<std::size_t>(r)])
        code = r < 2 ? static_cast<std::uint8_t>(2 * r) : static_cast<std::uint8_t>(random() % 3);
      pack_ternary_row(codes[static_cast<std::size_t>(r)].data(), cols, r, lines.data());
    }
    std::vector<std::int8_t> q(static_cast<std::size_t>(most_tokens * padded));
    std::vector<std::int32_t> sums(static_cast<std::size_t>(most_tokens));
    for (std::int64_t t = 0; t < most_tokens; ++t) {
      for (std::int64_t c = 0; c < cols; ++c) {
        auto& value = q[static_cast<std::size_t>(t * padded + c)];
        value = static_cast<std::int8_t>(t == 0 ? -128 : t == 1 ? 127 : static_cast<int>(random() % 255) - 127);
        sums[static_cast<std::size_t>(t)] += value;
      }
    }
    std::vector<float> wanted;
    for (std::int64_t t = 0; t < most_tokens; ++t) {
      for (const auto& row : codes) {
        std::int32_t sum = 0;
        for (std::int64_t c = 0; c < cols; ++c)
          sum += (row[static_cast<std::size_t>(c)] - 1) * q[static_cast<std::size_t>(t * padded + c)];
        wanted.push_back(static_cast<float>(sum));
      }
    }
    const std::vector<float> w_scales(static_cast<std::size_t>(rows), 1.0f), x_scales(19, 1.0f);
    for (const KernelTable* table : kernel_tables()) {
      for (const std::int64_t tokens : {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 19}) {
        std::vector<float> y(static_cast<std::size_t>(tokens * rows));
        std::vector<std::byte> scratch(static_cast<std::size_t>(kernel_scratch_bytes(padded, 1)));
        table->ternary_matmul({lines.data(), w_scales.data(), rows, padded}, 0, rows,
                              {q.data(), x_scales.data(), sums.data(), tokens, padded}, y.data(), rows, scratch.data());
        ASSERT_TRUE(std::equal(y.begin(), y.end(), wanted.begin()))
            << table->name << ": " << cols << " columns, " << tokens << " tokens";
      }
    }
  }
}

// Where kernels may cut the work into blocks of rows and tokens; the first rows and tokens are the largest there are.
TEST(TernaryMatmul, OfManyRowsAndTokensEqualsScalar) {
  std::mt19937 random(12);
  const std::int64_t rows = 1405, cols = 768, most_tokens = 71;
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(cols)),
      lines(static_cast<std::size_t>(ternary_lines_bytes(rows, cols)));
  for (std::int64_t r = 0; r < rows; ++r) {
    for (auto& code : codes) code = static_cast<std::uint8_t>(r < 8 ? r % 2 * 2 : random() % 3);
    pack_ternary_row(codes.data(), cols, r, lines.data());
  }
  std::vector<float> w_scales(static_cast<std::size_t>(rows)), x_scales(static_cast<std::size_t>(most_tokens));
  for (float& scale : w_scales) scale = 0.01f * static_cast<float>(random() % 1000);
  for (float& scale : x_scales) scale = 1 + 0.01f * static_cast<float>(random() % 1000);
  std::vector<std::int8_t> q(static_cast<std::size_t>(most_tokens * cols));
  std::vector<std::int32_t> sums(static_cast<std::size_t>(most_tokens));
  for (std::int64_t t = 0; t < most_tokens; ++t) {
    for (std::int64_t c = 0; c < cols; ++c) {
      const int value = t == 0 ? -128 : t == 1 ? 127 : static_cast<int>(random() % 256) - 128;
      q[static_cast<std::size_t>(t * cols + c)] = static_cast<std::int8_t>(value), sums[static_cast<std::size_t>(t)] += value;
    }
  }
  for (const KernelTable* table : kernel_tables()) {
    for (const std::int64_t tokens : {25, 26, 33, 64, 71}) {
      for (const auto& [begin, end] : {std::pair<std::int64_t, std::int64_t>{0, rows}, {5, 393}, {700, 1101}}) {
        const auto product = [&, begin = begin, end = end](const KernelTable& kernels) {
          std::vector<float> y(static_cast<std::size_t>(tokens * rows));
          std::vector<std::byte> scratch(static_cast<std::size_t>(kernel_scratch_bytes(cols, 1)));
          kernels.ternary_matmul({lines.data(), w_scales.data(), rows, cols}, begin, end,
                                 {q.data(), x_scales.data(), sums.data(), tokens, cols}, y.data(), rows, scratch.data());
          return y;
        };
        ASSERT_EQ(product(*table), product(scalar_table())) << table->name << ": " << tokens << " tokens, rows " << begin;
      }
    }
  }
}

TEST(TernaryCombine, IsThePlainSumOfListedRows) {
  std::mt19937 random(5);
  const std::int64_t rows = 9, cols = 512;
  std::vector<std::vector<std::uint8_t>> codes(9, std::vector<std::uint8_t>(512));
  std::vector<std::uint8_t> lines(static_cast<std::size_t>(ternary_lines_bytes(rows, cols)));
  for (std::int64_t r = 0; r < rows; ++r) {
    for (auto& code : codes[static_cast<std::size_t>(r)]) code = static_cast<std::uint8_t>(random() % 3);
    pack_ternary_row(codes[static_cast<std::size_t>(r)].data(), cols, r, lines.data());
  }
  const std::vector<std::int8_t> q = {3, -4, 127, 0, -128, 77, 1, 9, -50};
  const std::vector<std::int32_t> listed = {0, 2, 4, 5, 8};
  for (const KernelTable* table : kernel_tables()) {
    std::vector<std::int32_t> sums(static_cast<std::size_t>(cols), 100);
    table->ternary_combine({lines.data(), nullptr, rows, cols}, listed.data(), 5, q.data(), sums.data());
    for (std::size_t c = 0; c < sums.size(); ++c) {
      int wanted = 100;
      for (const std::int32_t r : listed)
        wanted += q[static_cast<std::size_t>(r)] * (codes[static_cast<std::size_t>(r)][c] - 1);
      ASSERT_EQ(sums[c], wanted) << table->name << " column " << c;
    }
  }
}

}  // namespace
}  // namespace bitnet
