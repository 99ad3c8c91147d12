// Do ternary matrices survive every packed format to the bit, and is what cannot be held refused by name?
#include <gmock/gmock.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include "common/error.h"
#include "kernels/kernel_table.h"
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

constexpr DataType packed_types[] = {DataType::i2_s,   DataType::tq1_0,     DataType::tq2_0, DataType::iq1_bn,
                                     DataType::iq2_bn, DataType::iq2_bn_r4, DataType::q2_0,  DataType::q2_0_g128,
                                     DataType::pq2_0,  DataType::ptq1_0,    DataType::tl1,   DataType::tl2};

// Tiles for any number of rows that 32 divides, and of columns that 64 divides, if TL2's rest of up to 256 columns allows.
Tiling tiling_of(DataType type, std::int64_t rows) {
  if (type == DataType::tl1) return {rows % 64 == 0 ? 64 : 32, 64, rows % 128 == 0 ? 64 : rows % 64 == 0 ? 16 : 32};
  if (type == DataType::tl2) return {rows % 64 == 0 ? 64 : 32, rows % 96 == 0 ? 192 : 96, 32};
  return {};
}

std::optional<std::string> refusal(DataType type, const Matrix& m) {
  return why_not(type, m.rows, m.cols, m.scales.per, tiling_of(type, m.rows));
}

std::vector<std::byte> encode(DataType type, const Matrix& m, int threads = 1) {
  std::vector<std::byte> bytes(encoded_bytes(type, m.rows, m.cols), std::byte{0xee});
  ThreadPool pool(threads);
  encode_ternary(type,
                 {"w", m.rows, m.cols, m.scales,
                  [&](std::int64_t row, std::uint8_t* codes) { std::copy_n(m.codes.begin() + row * m.cols, m.cols, codes); }},
                 pool, bytes, tiling_of(type, m.rows));
  return bytes;
}

Matrix decode(DataType type, std::int64_t rows, std::int64_t cols, const std::vector<std::byte>& bytes) {
  const TensorView tensor{type, {{rows, cols}}, bytes, tiling_of(type, rows)};
  Matrix m{rows, cols, ternary_scales(tensor, "w").value(), std::vector<std::uint8_t>(static_cast<std::size_t>(rows * cols))};
  for (std::int64_t r = 0; r < rows; ++r) unpack_row(tensor, "w", r, m.codes.data() + r * cols);
  return m;
}

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

// The floats that the kernels decode, where rows lie apart, are the codes times the scales.
void expect_decoding(DataType type, const Matrix& m, const std::vector<std::byte>& bytes) {
  if (!info(type).rows_apart) return;
  const std::int64_t row_bytes = static_cast<std::int64_t>(bytes.size()) / m.rows,
                     fine = scales_per_row(ScalePer::block64, m.cols);
  const std::vector<float> scales = all_scales(m, ScalePer::block64);
  std::vector<float> row(static_cast<std::size_t>(m.cols));
  for (std::int64_t r = 0; r < m.rows; ++r) {
    scalar_table().decode(type, bytes.data() + r * row_bytes, m.cols, row.data());
    for (std::int64_t c = 0; c < m.cols; ++c) {
      const auto weight = static_cast<float>(m.codes[static_cast<std::size_t>(r * m.cols + c)] - 1);
      RC_ASSERT(row[static_cast<std::size_t>(c)] == weight * scales[static_cast<std::size_t>(r * fine + c / 64)]);
    }
  }
}

void expect_round_trip(const Matrix& m, DataType first, DataType second) {
  const auto bytes = encode(first, m, 2);
  const Matrix once = decode(first, m.rows, m.cols, bytes);
  RC_ASSERT(once.codes == m.codes);
  RC_ASSERT(all_scales(once, ScalePer::block64) == all_scales(m, ScalePer::block64));
  expect_decoding(first, m, bytes);
  const Matrix twice = decode(second, m.rows, m.cols, encode(second, once));
  RC_ASSERT(twice.codes == m.codes);
  RC_ASSERT(twice.scales.values == once.scales.values);
  RC_ASSERT(encode(first, twice, 3) == bytes);
}

// Every pair of formats that can hold the matrix; those with several scales a row also where reading finds one to be enough.
void expect_round_trips(const Matrix& m) {
  for (const DataType first : packed_types) {
    if (refusal(first, m)) continue;
    for (const DataType second : packed_types) {
      if (!refusal(second, m)) expect_round_trip(m, first, second);
    }
  }
}

RC_GTEST_PROP(EncodeTernary, EveryFormatToEveryOtherAndBackOverOddShapes, ()) {
  expect_round_trips(random_matrix(*rc::gen::inRange(1, 12), 16 * *rc::gen::inRange(1, 40), ScalePer::tensor));
}

RC_GTEST_PROP(EncodeTernary, EveryFormatToEveryOtherAndBackWithManyScales, ()) {
  const ScalePer per = *rc::gen::element(ScalePer::row, ScalePer::block64, ScalePer::block128, ScalePer::block256);
  expect_round_trips(random_matrix(4 * *rc::gen::inRange(1, 4), 256 * *rc::gen::inRange(1, 4), per));
}

// Shapes that every format holds.
RC_GTEST_PROP(EncodeTernary, EveryFormatToEveryOtherAndBack, ()) {
  const Matrix m = random_matrix(32 * *rc::gen::inRange(1, 5), 256 * *rc::gen::inRange(1, 4), ScalePer::tensor);
  const auto other = *rc::gen::elementOf(std::vector<DataType>(std::begin(packed_types), std::end(packed_types)));
  for (const DataType type : packed_types) {
    RC_ASSERT(!refusal(type, m));
    expect_round_trip(m, type, other);
  }
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
      if (refusal(type, m)) continue;
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
  EXPECT_EQ(why_not(DataType::tq2_0, 10, 2720),
            "TQ2_0 holds rows of whole blocks of 256 weights, the matrix has 10 rows of 2720");
  EXPECT_EQ(why_not(DataType::q8_0, 10, 80), "Q8_0 holds rows of whole blocks of 32 weights, the matrix has 10 rows of 80");
  EXPECT_EQ(why_not(DataType::i2_s, 3, 8640),
            "I2_S holds a tensor of whole blocks of 128 weights, the matrix has 3 rows of 8640");
  EXPECT_EQ(why_not(DataType::i2_s, 3200, 8640), std::nullopt) << "the tensor is whole blocks, its rows need not be";
  EXPECT_EQ(why_not(DataType::iq2_bn_r4, 6, 128),
            "IQ2_BN_R4 holds rows of whole blocks of 64 weights, four at a time, the matrix has 6 rows of 128");
  EXPECT_EQ(why_not(DataType::tl2, 32, 128), "TL2 holds rows of at least 256 weights, the matrix has 32 rows of 128");
  EXPECT_EQ(why_not(DataType::i2_s, 4, 256, ScalePer::row), "I2_S has one scale a tensor, the weights have one a row");
  EXPECT_EQ(why_not(DataType::tq1_0, 4, 256, ScalePer::block128),
            "TQ1_0 has one scale a block of 256 weights, the weights have one a block of 128 weights");
  EXPECT_EQ(why_not(DataType::tq1_0, 4, 256, ScalePer::row), std::nullopt);
  EXPECT_EQ(why_not(DataType::iq1_bn, 4, 64, ScalePer::block64),
            "IQ1_BN has one scale a row, the weights have one a block of 64 weights");
  EXPECT_EQ(why_not(DataType::f16, 4, 7, ScalePer::row), std::nullopt);
  EXPECT_EQ(why_not(DataType::q4_k, 4, 256), "Q4_K is read, it cannot be written");
  EXPECT_EQ(why_not(DataType::f32, 0, 256), "a matrix of 0 rows and 256 columns has no weights");
  EXPECT_EQ(why_not(DataType::f32, std::int64_t{1} << 40, 1 << 30),
            "1099511627776 rows of 1073741824 weights are more than 2^60 weights");
}

TEST(WhyNot, NamesWhatATilingCannotCut) {
  const auto tl1 = [](std::int64_t rows, std::int64_t cols, Tiling t) {
    return why_not(DataType::tl1, rows, cols, ScalePer::tensor, t);
  };
  const auto tl2 = [](std::int64_t rows, std::int64_t cols, Tiling t) {
    return why_not(DataType::tl2, rows, cols, ScalePer::tensor, t);
  };
  EXPECT_EQ(tl1(2560, 6912, {}),
            "TL1 is read and written in the tiles that a kernel_config.ini beside the model defines: there is none, or "
            "none with m = 2560 and k = 6912");
  // The configurations that bitnet.cpp ships for 3200 by 8640 and its kin.
  EXPECT_EQ(tl1(3200, 8640, {160, 64, 32}), std::nullopt);
  EXPECT_EQ(tl1(3200, 3200, {320, 128, 64}), std::nullopt);
  EXPECT_EQ(tl2(3200, 8640, {160, 96, 32}), std::nullopt);
  EXPECT_EQ(tl2(8640, 3200, {320, 96, 32}), std::nullopt);
  EXPECT_EQ(tl2(1536, 1536, {128, 192, 32}), std::nullopt);
  EXPECT_EQ(tl2(14336, 4096, {256, 96, 32}), std::nullopt);
  EXPECT_EQ(tl1(3200, 3200, {320, 128, 8}), "the kernel configuration has bmm = 8, TL1 wants 16, 32 or 64");
  EXPECT_EQ(tl1(3200, 3200, {384, 128, 64}), "the number of rows is 3200, it must be a multiple of bm = 384");
  EXPECT_EQ(tl1(3200, 3200, {320, 96, 64}), "the number of columns is 3200, it must be a multiple of bk = 96");
  EXPECT_EQ(tl1(3200, 3200, {32, 128, 64}), "bm is 32, it must be a multiple of bmm = 64");
  EXPECT_EQ(tl1(3200, 3200, {32, 2, 32}), "bk is 2, it must be a multiple of 256 / bmm = 8");
  EXPECT_EQ(tl2(4096, 1536, {256, 96, 64}), "the kernel configuration has bmm = 64, TL2 wants 32");
  EXPECT_EQ(tl2(4096, 1536, {256, 32, 32}), "bk is 32, it must be a multiple of 24");
  EXPECT_EQ(tl2(4096, 2560, {256, 72, 32}), "what bk leaves of the columns is 40, it must be a multiple of 32");
  EXPECT_EQ(tl2(4096, 1120, {256, 768, 32}), "1120 columns in blocks of bk = 768 leave 352 for pairs, TL2 has room for 256");
}

}  // namespace
}  // namespace bitnet
