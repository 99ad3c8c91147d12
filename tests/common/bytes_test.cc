// Cursor, checked arithmetic, data types, UTF-8 and printable text: what guards the way from untrusted bytes.
#include <gmock/gmock.h>

#include "common/buffer.h"
#include "common/checked.h"
#include "common/cursor.h"
#include "common/data_type.h"
#include "common/utf8.h"

namespace bitnet {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

TEST(Cursor, ReadsLittleEndian) {
  Cursor in(bytes_of(std::string_view("\x01\x02\x03\x04\x00\x00\x80\x3f\xff", 9)), "f");
  EXPECT_EQ(in.number<std::uint32_t>("n"), 0x04030201u);
  EXPECT_EQ(in.number<float>("x"), 1.0f);
  EXPECT_EQ(in.number<std::int8_t>("b"), -1);
  EXPECT_EQ(in.left(), 0u);
}

TEST(Cursor, NamesThePlaceThatFailed) {
  Cursor in(bytes_of("abcdef"), "model.gguf");
  in.take(2, "magic");
  EXPECT_THAT(
      [&] { in.take(~std::uint64_t{0}, "key"); },
      testing::ThrowsMessage<Error>("model.gguf: at byte 2: key needs 18446744073709551615 bytes, the file has 4 left"));
  EXPECT_THAT([&] { in.number<std::uint64_t>("tensor count"); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("tensor count needs 8 bytes")));
}

TEST(Checked, RefusesWhatDoesNotFit) {
  const std::uint64_t big = ~std::uint64_t{0};
  EXPECT_EQ(checked_add(big, 1), std::nullopt);
  EXPECT_EQ(checked_mul(big / 2 + 1, 2), std::nullopt);
  EXPECT_EQ(checked_mul(big / 2, 2), big - 1);
  EXPECT_EQ(checked_round_up(big, 32), std::nullopt);
  EXPECT_EQ(checked_round_up(33, 32), 64u);
}

TEST(DataBytes, CountsBlocksAndTails) {
  EXPECT_EQ(data_bytes(DataType::i2_s, 2560 * 2560, 2560), 1638432u);
  EXPECT_EQ(data_bytes(DataType::i2_s, 6912 * 2560, 2560), 4423712u);
  EXPECT_EQ(data_bytes(DataType::i2_s, 100, 100), std::nullopt);
  EXPECT_EQ(data_bytes(DataType::i2_s, 4 * 96, 96), 128u) << "blocks run across rows";
  EXPECT_EQ(data_bytes(DataType::tq1_0, 512, 256), 108u);
  EXPECT_EQ(data_bytes(DataType::q6_k, 512, 128), std::nullopt) << "a row must be whole blocks";
  EXPECT_EQ(data_bytes(DataType::f32, ~std::uint64_t{0} / 2, 1), std::nullopt);
  EXPECT_EQ(data_bytes(DataType::iq1_bn, 3 * 128, 128), 3u * (2 + 2 * 13));
  EXPECT_EQ(data_bytes(DataType::iq2_bn, 2560 * 2560, 2560), 2560u * (4 + 640));
  EXPECT_EQ(data_bytes(DataType::iq2_bn_r4, 8 * 64, 64), 8u * 20);
  EXPECT_EQ(data_bytes(DataType::iq2_bn_r4, 6 * 64, 64), std::nullopt) << "rows come in fours";
  EXPECT_EQ(data_bytes(DataType::tl1, 3200 * 8640, 8640), 3200u * 8640 / 4 + 32);
  EXPECT_EQ(data_bytes(DataType::tl2, 3200 * 3200, 3200), 2167520u) << "1962666 + 204800, filled up by 22, and 32";
  EXPECT_EQ(data_bytes(DataType::tl2, 64 * 128, 128), std::nullopt);
  EXPECT_EQ(data_bytes(DataType::tl2, std::uint64_t{1} << 62, std::uint64_t{1} << 31).has_value(), true);
  EXPECT_EQ(data_type_from_ggml(36), DataType::i2_s);
  EXPECT_EQ(data_type_from_ggml(42), DataType::q2_0) << "the first of two";
  EXPECT_EQ(data_type_from_name("iq2_bn_R4"), DataType::iq2_bn_r4);
  EXPECT_EQ(data_type_from_name("iq2"), std::nullopt);
  for (const DataTypeInfo& type : data_types()) {
    EXPECT_EQ(&info(type.type), &type);
    EXPECT_EQ(data_type_from_name(type.name), type.type);
  }
  EXPECT_EQ(data_type_from_ggml(40), std::nullopt);
}

TEST(Utf8, RoundTripsEveryScalar) {
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xd800 && code < 0xe000) continue;
    std::string text;
    utf8_append(text, code);
    const Utf8Char c = utf8_decode(text);
    ASSERT_TRUE(c.valid && c.code == code && c.size == text.size()) << static_cast<std::uint32_t>(code);
    for (std::size_t cut = 1; cut < text.size(); ++cut) ASSERT_TRUE(utf8_decode(text.substr(0, cut)).truncated);
  }
}

TEST(Utf8, ConsumesMaximalSubparts) {
  const auto sizes = [](std::string_view text) {
    std::vector<int> out;
    while (!text.empty()) {
      const Utf8Char c = utf8_decode(text);
      out.push_back(c.valid ? c.size : -c.size);
      text.remove_prefix(c.size);
    }
    return out;
  };
  // The example of the Unicode standard, table 3-8.
  EXPECT_THAT(sizes("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64"),
              testing::ElementsAre(1, -3, -2, -1, 1, -1, 1, -1, -1, 1));
  EXPECT_THAT(sizes("\xC0\xAF\xED\xA0\x80\xF4\x90"), testing::ElementsAre(-1, -1, -1, -1, -1, -1, -1));
}

TEST(Printable, HidesWhatCouldDriveATerminal) {
  EXPECT_EQ(printable("a\x1b[31mb\n"), "a\\x1b[31mb\\x0a");
  EXPECT_EQ(printable("\xff"
                      "ok \xe2\x80\xae"),
            "\\xffok \\xe2\\x80\\xae");
  EXPECT_EQ(printable("na\xc3\xafve"), "na\xc3\xafve");
  EXPECT_EQ(printable("abcdef", 3), "abc...");
}

TEST(Buffer, IsAlignedAndZero) {
  for (const std::size_t size : {1u, 100u, 5u << 20}) {
    const Buffer buffer(size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64, 0u);
    EXPECT_EQ(buffer.data()[size - 1], std::byte{0});
  }
  EXPECT_THAT([] { Buffer impossible(~std::size_t{0} - 100); },
              testing::Throws<Error>(testing::Property(&Error::kind, ErrorKind::too_big)));
}

}  // namespace
}  // namespace bitnet
