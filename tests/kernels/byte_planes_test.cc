// The planes of int8 rows: what lies where, and that both together are the row again.
#include "kernels/byte_planes.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace bitnet {
namespace {

TEST(BytePlanes, PutBitsWhereTheDrawingSays) {
  std::vector<std::int8_t> row(256, -128);
  std::vector<std::uint8_t> high(192), low(64);
  row[5] = static_cast<std::int8_t>(4 * 0b10'1101 - 128 + 3);
  row[128 + 5] = static_cast<std::int8_t>(4 * 0b01'0110 - 128 + 2);
  row[192 + 7] = static_cast<std::int8_t>(4 * 0b11'0000 - 128 + 1);
  split_planes(row.data(), 256, high.data(), low.data());
  EXPECT_EQ(high[5], 0b0110'1101);
  EXPECT_EQ(high[128 + 5], 0b00'01'00'10);
  EXPECT_EQ(high[128 + 7], 0b11'00'00'00);
  EXPECT_EQ(low[5], 0b00'10'00'11);
  EXPECT_EQ(low[7], 0b01'00'00'00);
  EXPECT_EQ(high[6], 0);
}

// By the kernels that read them: the scan of the one and the rows of the other add up to the row's dot product.
TEST(BytePlanes, TogetherAreTheRow) {
  constexpr std::int64_t cols = 768;
  std::mt19937 random(3);
  std::vector<std::int8_t> row, x;
  for (std::int64_t c = 0; c < cols; ++c) row.push_back(static_cast<std::int8_t>(random() % 256 - 128));
  for (std::int64_t c = 0; c < 2 * cols; ++c) x.push_back(static_cast<std::int8_t>(c < cols ? 0 : random() % 128 - 64));
  std::vector<std::uint8_t> high(cols * 3 / 4), low(cols / 4);
  split_planes(row.data(), cols, high.data(), low.data());
  std::int32_t code_dot = 0, sum = 0, dot = 0;
  for (std::int64_t c = 0; c < cols; ++c) {
    const int value = x[static_cast<std::size_t>(cols + c)];
    sum += value, dot += row[static_cast<std::size_t>(c)] * value;
  }
  scalar_table().six_bit_scan(high.data(), cols, 0, 1, x.data(), 1, &code_dot, 1);
  const float one = 1;
  const std::int32_t first = 0;
  float low_dot = 0;  // of low - 1
  scalar_table().ternary_rows({low.data(), &one, 1, cols}, &first, 1, {x.data() + cols, &one, &sum, 1, cols}, &low_dot);
  EXPECT_EQ(4 * code_dot - 128 * sum + static_cast<std::int32_t>(low_dot) + sum, dot);
}

}  // namespace
}  // namespace bitnet
