// Do ternary matrices survive every packed format to the bit, and is what cannot be held refused by name?
#include <gmock/gmock.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include "common/error.h"
#include "quantization/encode.h"

namespace bitnet {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

struct Matrix {
  std::int64_t rows = 0, cols = 0;
  TernaryScales scales;
  std::vector<std::uint8_t> codes;  // (rows, cols)
};

Matrix with_one_scale(std::int64_t rows, std::int64_t cols, float scale, std::uint8_t code) {
  Matrix m;
  m.rows = rows, m.cols = cols;
  m.scales.values.push_back(scale);
  m.codes.assign(static_cast<std::size_t>(rows * cols), code);
  return m;
}

std::vector<std::byte> encode(DataType type, const Matrix& m, int threads = 1) {
  std::vector<std::byte> bytes(encoded_bytes(type, m.rows, m.cols), std::byte{0xee});
  ThreadPool pool(threads);
  encode_ternary(type,
                 {"w", m.rows, m.cols, m.scales,
                  [&](std::int64_t row, std::uint8_t* codes) { std::copy_n(m.codes.begin() + row * m.cols, m.cols, codes); }},
                 pool, bytes);
  return bytes;
}

Matrix decode(DataType type, std::int64_t rows, std::int64_t cols, const std::vector<std::byte>& bytes) {
  const TensorView tensor{type, {{rows, cols}}, bytes};
  Matrix m{rows, cols, ternary_scales(tensor, "w").value(), std::vector<std::uint8_t>(static_cast<std::size_t>(rows * cols))};
  for (std::int64_t r = 0; r < rows; ++r) unpack_row(tensor, "w", r, m.codes.data() + r * cols);
  return m;
}

constexpr DataType packed_types[] = {DataType::i2_s, DataType::tq1_0, DataType::tq2_0};

// A scale that half precision holds: 11 bits and a small exponent. Never zero.
rc::Gen<float> half_scale() {
  return rc::gen::map(rc::gen::pair(rc::gen::inRange(1024, 2048), rc::gen::inRange(-20, 3)),
                      [](const auto& parts) { return std::ldexp(static_cast<float>(parts.first), parts.second); });
}

// Any row of 256 weights and every row as a whole has a weight that is not zero, so that no scale can get lost.
Matrix random_matrix(std::int64_t rows, std::int64_t cols, ScalePer per) {
  const std::int64_t each = scales_per_row(per, cols), count = each == 0 ? 1 : rows * each;
  Matrix m{rows, cols, {per, *rc::gen::container<std::vector<float>>(static_cast<std::size_t>(count), half_scale())}, {}};
  auto state = *rc::gen::arbitrary<std::uint64_t>();
  for (std::int64_t i = 0; i < rows * cols; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    m.codes.push_back(static_cast<std::uint8_t>((state >> 33) % 3));
  }
  return m;
}

// What reading gives for scales that happen to be equal.
std::vector<float> all_scales(const Matrix& m, ScalePer per) {
  const std::int64_t have = scales_per_row(m.scales.per, m.cols), want = scales_per_row(per, m.cols);
  std::vector<float> all;
  for (std::int64_t r = 0; r < m.rows; ++r) {
    for (std::int64_t b = 0; b < want; ++b) {
      all.push_back(m.scales.values[static_cast<std::size_t>(have == 0 ? 0 : r * have + b * have / want)]);
    }
  }
  return all;
}

void expect_round_trip(const Matrix& m, DataType first, DataType second) {
  const auto bytes = encode(first, m, 2);
  const Matrix once = decode(first, m.rows, m.cols, bytes);
  RC_ASSERT(once.codes == m.codes);
  RC_ASSERT(all_scales(once, ScalePer::block64) == all_scales(m, ScalePer::block64));
  const Matrix twice = decode(second, m.rows, m.cols, encode(second, once));
  RC_ASSERT(twice.codes == m.codes);
  RC_ASSERT(twice.scales.values == once.scales.values);
  RC_ASSERT(encode(first, twice, 3) == bytes);
}

// Every pair of formats that can hold the matrix.
void expect_round_trips(const Matrix& m) {
  for (const DataType first : packed_types) {
    if (why_not(first, m.rows, m.cols, m.scales.per)) continue;
    for (const DataType second : packed_types) {
      if (!why_not(second, m.rows, m.cols, m.scales.per)) expect_round_trip(m, first, second);
    }
  }
}

RC_GTEST_PROP(EncodeTernary, EveryFormatToEveryOtherAndBackOverOddShapes, ()) {
  expect_round_trips(random_matrix(*rc::gen::inRange(1, 12), 16 * *rc::gen::inRange(1, 80), ScalePer::tensor));
}

RC_GTEST_PROP(EncodeTernary, EveryFormatToEveryOtherAndBackWithManyScales, ()) {
  const ScalePer per = *rc::gen::element(ScalePer::row, ScalePer::block64, ScalePer::block128, ScalePer::block256);
  expect_round_trips(random_matrix(*rc::gen::inRange(1, 12), 256 * *rc::gen::inRange(1, 5), per));
}

// Shapes that every format holds.
RC_GTEST_PROP(EncodeTernary, EveryFormatToEveryOtherAndBack, ()) {
  const Matrix m = random_matrix(4 * *rc::gen::inRange(1, 4), 256 * *rc::gen::inRange(1, 4), ScalePer::tensor);
  for (const DataType type : packed_types) RC_ASSERT(!why_not(type, m.rows, m.cols));
  expect_round_trips(m);
}

TEST(EncodeTernary, I2SBlocksRunAcrossRowsOfAnyLength) {
  Matrix m = with_one_scale(8, 80, 2.0f, 1);
  m.codes[128] = 2;  // row 1, column 48: the first weight of the second block
  for (const int threads : {1, 2, 3, 7}) {
    const auto bytes = encode(DataType::i2_s, m, threads);
    ASSERT_EQ(bytes.size(), 192u);
    EXPECT_EQ(bytes[31], std::byte{0x55});
    EXPECT_EQ(bytes[32], std::byte{0x95});
    EXPECT_EQ(bytes[160 + 3], std::byte{0x40});
    EXPECT_EQ(bytes[191], std::byte{0}) << "the tail is written to its end";
  }
}

TEST(EncodeTernary, KeepsTheScaleOfABlockOfZeros) {
  const Matrix m = with_one_scale(1, 512, 0.5f, 1);
  EXPECT_EQ(decode(DataType::tq2_0, 1, 512, encode(DataType::tq2_0, m)).scales.values, std::vector<float>{0.5f});
}

TEST(EncodeTernary, RoundsAScaleToHalfPrecisionOnlyWhereTheFormatHasNoMore) {
  EXPECT_EQ(stored_scale(DataType::i2_s, 0.1f), 0.1f);
  EXPECT_EQ(stored_scale(DataType::tq1_0, 0.1f), 0.0999755859375f);
  const Matrix m = with_one_scale(1, 256, 0.1f, 2);
  EXPECT_EQ(decode(DataType::tq1_0, 1, 256, encode(DataType::tq1_0, m)).scales.values.front(), 0.0999755859375f);
}

TEST(EncodeTernary, RefusesCodesAboveTwo) {
  for (const std::uint8_t code : {std::uint8_t{3}, std::uint8_t{255}}) {
    Matrix m = with_one_scale(2, 256, 1.0f, 1);
    m.codes[256 + 77] = code;
    for (const DataType type : packed_types) {
      EXPECT_THAT([&] { encode(type, m); }, ThrowsMessage<Error>(fmt::format(
                                                "tensor 'w': row 1, column 77 has code {}, ternary codes are 0 to 2", code)));
    }
  }
}

TEST(EncodeTernary, RefusesScalesThatNoFormatOrThisOneCannotHold) {
  const auto with = [](float scale) { return with_one_scale(1, 256, scale, 1); };
  for (const float scale : {-1.0f, INFINITY, NAN}) {
    EXPECT_THAT([&] { encode(DataType::i2_s, with(scale)); },
                ThrowsMessage<Error>(HasSubstr("must be finite and not negative")));
  }
  for (const float scale : {1e6f, 1e-9f}) {
    EXPECT_NO_THROW(encode(DataType::i2_s, with(scale)));
    EXPECT_THAT([&] { encode(DataType::tq2_0, with(scale)); },
                ThrowsMessage<Error>(HasSubstr("half-precision scale of TQ2_0")));
  }
  Matrix wrong = with(1.0f);
  wrong.scales.values.push_back(1.0f);
  EXPECT_THAT([&] { encode(DataType::i2_s, wrong); },
              ThrowsMessage<Error>(HasSubstr("2 scales are given, one a tensor makes 1")));
}

TEST(WhyNot, NamesTheFactAndTheBound) {
  EXPECT_EQ(why_not(DataType::tq2_0, 10, 2720), "TQ2_0 holds blocks of 256 weights, a row has 2720");
  EXPECT_EQ(why_not(DataType::q8_0, 10, 80), "Q8_0 holds blocks of 32 weights, a row has 80");
  EXPECT_EQ(why_not(DataType::i2_s, 3, 8640), "I2_S holds blocks of 128 weights, the tensor has 25920 weights");
  EXPECT_EQ(why_not(DataType::i2_s, 3200, 8640), std::nullopt) << "the tensor is whole blocks, its rows need not be";
  EXPECT_EQ(why_not(DataType::i2_s, 4, 256, ScalePer::row), "I2_S has one scale a tensor, the weights have one a row");
  EXPECT_EQ(why_not(DataType::tq1_0, 4, 256, ScalePer::block128),
            "TQ1_0 has one scale a block of 256 weights, the weights have one a block of 128 weights");
  EXPECT_EQ(why_not(DataType::tq1_0, 4, 256, ScalePer::row), std::nullopt);
  EXPECT_EQ(why_not(DataType::f16, 4, 7, ScalePer::row), std::nullopt);
  EXPECT_EQ(why_not(DataType::q4_k, 4, 256), "Q4_K is read, it cannot be written");
  EXPECT_EQ(why_not(DataType::f32, 0, 256), "a matrix of 0 rows and 256 columns has no weights");
  EXPECT_EQ(why_not(DataType::f32, std::int64_t{1} << 40, 1 << 30),
            "1099511627776 rows of 1073741824 weights are more than 2^60 weights");
}

}  // namespace
}  // namespace bitnet
