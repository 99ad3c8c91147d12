// Are rows rounded to the dense types as documented? (gguf-py compares the bytes of Q8_0 and Q4_0: gguf_py_test.py.)
#include <gmock/gmock.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>

#include "common/error.h"
#include "common/half.h"
#include "kernels/kernel_table.h"
#include "quantization/encode.h"

namespace bitnet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

std::vector<std::byte> encode(DataType type, const std::vector<float>& row) {
  const auto cols = static_cast<std::int64_t>(row.size());
  std::vector<std::byte> bytes(why_not(type, 1, cols) ? 0 : encoded_bytes(type, 1, cols));
  encode_dense_row(type, "w", 3, row, bytes);
  return bytes;
}

std::vector<float> rounded(DataType type, const std::vector<float>& row) {
  const auto bytes = encode(type, row);
  std::vector<float> back(row.size());
  scalar_table().decode(type, bytes.data(), static_cast<std::int64_t>(row.size()), back.data());
  return back;
}

// Weights of many sizes side by side, zeros among them.
std::vector<float> random_row(std::size_t n) {
  return *rc::gen::container<std::vector<float>>(
      n, rc::gen::map(rc::gen::pair(rc::gen::inRange(-1000, 1001), rc::gen::inRange(-12, 3)),
                      [](const auto& parts) { return std::ldexp(static_cast<float>(parts.first), parts.second); }));
}

TEST(EncodeDense, FloatsRoundToNearestEven) {
  const std::vector<float> row = {1.0f, -0.0f, 1.00048828125f, 1.00146484375f, 65504.0f};  // two ties of F16
  EXPECT_EQ(rounded(DataType::f32, row), row);
  EXPECT_THAT(rounded(DataType::f16, row), ElementsAre(1.0f, -0.0f, 1.0f, 1.001953125f, 65504.0f));
  EXPECT_THAT(rounded(DataType::bf16, {1.0f, 1.00390625f, 1.01171875f, -3e38f}),
              ElementsAre(1.0f, 1.0f, 1.015625f, -3.0040553e38f));
}

TEST(EncodeDense, FloatTypesKeepWhatIsNotFiniteAndRefuseToMakeIt) {
  EXPECT_TRUE(std::isnan(rounded(DataType::bf16, {NAN})[0]));
  EXPECT_EQ(rounded(DataType::f16, {-INFINITY})[0], -INFINITY);
  EXPECT_THAT([] { encode(DataType::f16, {0, 1e6f}); },
              ThrowsMessage<Error>("tensor 'w': row 3, column 1 has 1000000, F16 holds up to 65504"));
  EXPECT_THAT([] { encode(DataType::bf16, {3.4e38f}); }, ThrowsMessage<Error>(HasSubstr("BF16 holds up to")));
}

TEST(EncodeDense, BlockTypesRefuseWeightsTheyCannotHold) {
  for (const DataType type : {DataType::q8_0, DataType::q4_0, DataType::q6_k}) {
    std::vector<float> row(256, 1.0f);
    for (const float weight : {NAN, INFINITY}) {
      row[70] = weight;
      EXPECT_THAT([&] { encode(type, row); }, ThrowsMessage<Error>(HasSubstr("row 3, column 70 has")));
    }
    row[70] = -1e9f;
    EXPECT_THAT([&] { encode(type, row); }, ThrowsMessage<Error>(HasSubstr("column 70 has -1000000000, Q")));
    row[70] = 1e-42f;
    EXPECT_NO_THROW(encode(type, row));
    std::fill(row.begin(), row.end(), 1e-42f);
    EXPECT_THAT(rounded(type, row), testing::Each(testing::FloatNear(0, 1e-6f)));
    std::fill(row.begin(), row.end(), 0.0f);
    EXPECT_THAT(rounded(type, row), testing::Each(0.0f));
  }
  EXPECT_THAT([] { encode(DataType::q4_0, std::vector<float>(48)); },
              ThrowsMessage<Error>("tensor 'w': Q4_0 holds rows of whole blocks of 32 weights, the matrix has 1 rows of 48"));
  EXPECT_THAT([] { encode(DataType::tq2_0, std::vector<float>(256)); }, ThrowsMessage<Error>(HasSubstr("TQ2_0 is ternary")));
}

float largest(const float* x, std::size_t n) {
  float top = 0;
  for (std::size_t i = 0; i < n; ++i) top = std::max(top, std::fabs(x[i]));
  return top;
}

// A scale is kept to half of 2^-11, or 2^-25 where it is subnormal, which the largest weight multiplies by 127 or 8.
RC_GTEST_PROP(EncodeDense, Q8_0AndQ4_0StayWithinHalfAStep, ()) {
  const std::vector<float> row = random_row(64);
  const auto eight = rounded(DataType::q8_0, row), four = rounded(DataType::q4_0, row);
  for (std::size_t i = 0; i < row.size(); ++i) {
    const float top = largest(row.data() + i / 32 * 32, 32);
    RC_ASSERT(std::fabs(eight[i] - row[i]) <= top * (0.5f / 127 + 0x1p-11f) + 128 * 0x1p-25f);
    RC_ASSERT(std::fabs(four[i] - row[i]) <= top * (1.0f / 8 + 0x1p-11f) + 8 * 0x1p-25f);  // +8 is cut off to +7
  }
}

RC_GTEST_PROP(EncodeDense, Q6KStaysWithinItsBound, ()) {
  const std::vector<float> row = random_row(512);
  const auto back = rounded(DataType::q6_k, row);
  for (std::size_t g = 0; g < row.size(); g += 16) {
    const double block = static_cast<double>(largest(row.data() + g / 256 * 256, 256)) / (31 * 127) * (1 + 0x1p-10) + 0x1p-24;
    const double step = static_cast<double>(largest(row.data() + g, 16)) / 31 + block;
    double squares = 0, worst = 0;
    for (std::size_t i = g; i < g + 16; ++i) {
      const double off = std::fabs(static_cast<double>(back[i]) - static_cast<double>(row[i]));
      squares += off * off, worst = std::max(worst, off);
    }
    RC_ASSERT(std::sqrt(squares / 16) <= step / 2 * 1.00001);
    RC_ASSERT(worst <= 2 * step * 1.00001);
  }
}

}  // namespace
}  // namespace bitnet
