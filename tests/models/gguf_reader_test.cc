// Every rule of the container has a file that breaks it; truncation and damage never crash the reader.
#include "models/gguf_reader.h"

#include <gmock/gmock.h>

#include <random>

#include "common/error.h"
#include "support/byte_flips.h"
#include "support/gguf_builder.h"

namespace bitnet {
namespace {

using test::GgufBuilder;
using testing::AllOf;
using testing::HasSubstr;
using testing::Property;

void open_bytes(const std::string& bytes) {
  const test::TempFile file(bytes);
  GgufFile::open(file.path());
}

auto refused(const std::string& text) {
  return testing::Throws<Error>(AllOf(Property(&Error::kind, ErrorKind::bad_model), Property(&Error::what, HasSubstr(text)),
                                      Property(&Error::what, testing::Not(HasSubstr("\n")))));
}

std::string floats(std::size_t n) { return std::string(4 * n, '\0'); }

GgufBuilder small() {
  GgufBuilder b;
  b.text("general.architecture", "llama"), b.u32("n", 7), b.f32("x", 1.5f), b.boolean("yes", true);
  b.texts("words", {"a", "bc"}), b.i32s("numbers", {-1, 2}), b.f32s("reals", {0.5f});
  b.tensor("w", {2, 3}, 0, floats(6));
  b.tensor("v", {4}, 1, std::string(8, '\0'));
  return b;
}

TEST(GgufReader, ReadsMetadataAndTensors) {
  const test::TempFile temp(small().bytes());
  const GgufFile file = GgufFile::open(temp.path());
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.find_string("general.architecture"), "llama");
  EXPECT_EQ(file.find_unsigned("n"), 7u);
  EXPECT_EQ(file.find_number("x"), 1.5);
  EXPECT_EQ(file.find_bool("yes"), true);
  EXPECT_THAT(file.find_strings("words"), testing::ElementsAre("a", "bc"));
  EXPECT_THAT(file.find_integers("numbers"), testing::ElementsAre(-1, 2));
  EXPECT_THAT(file.find_floats("reals"), testing::ElementsAre(0.5f));
  EXPECT_EQ(file.find_unsigned("absent"), std::nullopt);
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors()[0].view.shape, (Shape{{2, 3}}));
  EXPECT_EQ(file.tensors()[0].view.bytes.size(), 24u);
  EXPECT_EQ(file.find_tensor("v")->view.type, DataType::f16);
  EXPECT_EQ(file.find_tensor("v")->offset % 32, 0u);
}

TEST(GgufReader, ReadsVersion2AndOtherAlignments) {
  GgufBuilder b;
  b.version = 2, b.alignment = 64;
  b.u32("general.alignment", 64), b.tensor("w", {3}, 0, floats(3)), b.tensor("v", {3}, 0, floats(3));
  const test::TempFile temp(b.bytes());
  EXPECT_EQ(GgufFile::open(temp.path()).find_tensor("v")->offset % 64, 0u);
}

TEST(GgufReader, AcceptsFilesWithoutTensors) {
  GgufBuilder b;
  b.texts("tokenizer.ggml.tokens", {"a"});
  EXPECT_NO_THROW(open_bytes(b.bytes()));
}

TEST(GgufReader, AcceptsBytesAfterTheLastTensor) { EXPECT_NO_THROW(open_bytes(small().bytes() + "anything")); }

TEST(GgufReader, FindsEachOfManyNames) {
  std::vector<std::string> names;
  for (int i = 0; i < 500; ++i) names.push_back(fmt::format("n{}", i * 7919 % 1000));
  GgufBuilder b;
  for (std::uint32_t i = 0; i < 500; ++i) b.u32(names[i], i), b.tensor(names[i], {i + 1}, 0, floats(i + 1));
  const test::TempFile temp(b.bytes());
  const GgufFile file = GgufFile::open(temp.path());
  for (std::uint32_t i = 0; i < 500; ++i) {
    EXPECT_EQ(file.find_unsigned(names[i]), i);
    ASSERT_NE(file.find_tensor(names[i]), nullptr);
    EXPECT_EQ(file.find_tensor(names[i])->view.shape, (Shape{{i + 1}}));
    EXPECT_EQ(file.entries()[i].key, names[i]) << "the file's order is kept";
  }
  EXPECT_EQ(file.find("n"), nullptr);
  EXPECT_EQ(file.find_tensor("n0 "), nullptr);
  EXPECT_EQ(file.find_tensor("z"), nullptr);
}

TEST(GgufReader, ReadsIntegersOfEveryWidth) {
  GgufBuilder b;
  b.entry("u8", 0, "\xff"), b.entry("i8", 1, "\xff"), b.entry("u16", 2, "\xfe\xff"), b.entry("i16", 3, "\x01\x02");
  b.entry("i32", 5, GgufBuilder::number(-5)), b.entry("u64", 10, GgufBuilder::number(~std::uint64_t{0}));
  b.entry("i64", 11, GgufBuilder::number(std::int64_t{1} << 40)), b.entry("f64", 12, GgufBuilder::number(0.25));
  const test::TempFile temp(b.bytes());
  const GgufFile file = GgufFile::open(temp.path());
  EXPECT_EQ(file.find_unsigned("u8"), 255u);
  EXPECT_EQ(file.find_unsigned("u16"), 65534u);
  EXPECT_EQ(file.find_unsigned("i16"), 513u);
  EXPECT_EQ(file.find_unsigned("u64"), ~std::uint64_t{0});
  EXPECT_EQ(file.find_unsigned("i64"), std::uint64_t{1} << 40);
  EXPECT_EQ(file.find_number("f64"), 0.25);
  EXPECT_EQ(file.find_number("i8"), -1);
  EXPECT_THAT([&] { file.find_unsigned("i32"); }, refused("i32 is -5, it must not be negative"));
}

TEST(GgufReader, NamesAKeyOfTheWrongType) {
  const test::TempFile temp(small().bytes());
  const GgufFile file = GgufFile::open(temp.path());
  EXPECT_THAT([&] { file.find_unsigned("x"); }, refused("x has type f32, it must be an integer"));
  EXPECT_THAT([&] { file.find_string("n"); }, refused("n has type u32, it must be a string"));
  EXPECT_THAT([&] { file.find_strings("numbers"); }, refused("it must be an array of strings"));
  EXPECT_THAT([&] { file.find_floats("words"); }, refused("it must be an array of floats"));
  EXPECT_THAT([&] { file.find_integers("words"); }, refused("it must be an array of integers of 32 or 64 bits"));
  EXPECT_THAT([&] { file.find_integers("n"); }, refused("n has type u32, it must be an array"));
  EXPECT_THAT([&] { file.find_bool("n"); }, refused("it must be a bool"));
}

TEST(GgufReader, RefusesABrokenHeader) {
  std::string bytes = small().bytes();
  EXPECT_THAT([&] { open_bytes("GGML" + bytes.substr(4)); }, refused("begins with 'GGML', it does not begin with GGUF"));
  EXPECT_THAT([&] { open_bytes("\x1b[2J" + bytes); }, refused("begins with '\\x1b[2J'"));
  EXPECT_THAT([&] { open_bytes(bytes.substr(0, 3)); }, refused("magic needs 4 bytes"));
  const auto with = [&](std::size_t at, auto value) {
    std::string changed = bytes;
    changed.replace(at, sizeof value, GgufBuilder::number(value));
    return changed;
  };
  EXPECT_THAT([&] { open_bytes(with(4, std::uint32_t{1})); }, refused("version is 1, supported are 2 and 3"));
  EXPECT_THAT([&] { open_bytes(with(4, std::uint32_t{4})); }, refused("version is 4"));
  EXPECT_THAT([&] { open_bytes(with(4, std::uint32_t{0x03000000})); }, refused("big-endian"));
  for (const std::uint64_t count : {std::uint64_t{1} << 20, std::uint64_t{1} << 60, ~std::uint64_t{0}}) {
    EXPECT_THAT([&] { open_bytes(with(8, count)); }, refused("tensor count is " + std::to_string(count)));
    EXPECT_THAT([&] { open_bytes(with(16, count)); }, refused("metadata count is " + std::to_string(count)));
  }
}

TEST(GgufReader, RefusesBrokenMetadata) {
  const auto with = [](const std::string& key, std::uint32_t type, const std::string& body) {
    GgufBuilder b;
    b.entry(key, type, body);
    return b.bytes() + std::string(64, '\0');
  };
  const auto n64 = [](std::uint64_t n) { return GgufBuilder::number(n); };
  const auto n32 = [](std::uint32_t n) { return GgufBuilder::number(n); };
  EXPECT_THAT([&] { open_bytes(with("k", 13, "x")); }, refused("k has type 13, allowed are 0 to 12"));
  EXPECT_THAT([&] { open_bytes(with("k", 7, "\2")); }, refused("bool of value 2"));
  EXPECT_THAT([&] { open_bytes(with("", 4, n32(1))); }, refused("metadata key is empty"));
  EXPECT_THAT([&] { open_bytes(with("\xff", 4, n32(1))); }, refused("'\\xff' is not UTF-8"));
  EXPECT_THAT([&] { open_bytes(with(std::string(70000, 'k'), 4, n32(1))); }, refused("length of 70000, at most 65536"));
  EXPECT_THAT([&] { open_bytes(with("k", 8, n64(1u << 30))); }, refused("length of 1073741824, at most 16777216"));
  EXPECT_THAT([&] { open_bytes(with("k", 8, n64(4000) + "abc")); }, refused("k needs 4000 bytes"));
  EXPECT_THAT([&] { open_bytes(with("k", 9, n32(9) + n64(1))); }, refused("array of arrays"));
  EXPECT_THAT([&] { open_bytes(with("k", 9, n32(99) + n64(1))); }, refused("has type 99"));
  for (const std::uint64_t count : {std::uint64_t{1} << 60, ~std::uint64_t{0}, std::uint64_t{100000}}) {
    EXPECT_THAT([&] { open_bytes(with("k", 9, n32(8) + n64(count))); }, refused("elements of at least 8 bytes"));
    EXPECT_THAT([&] { open_bytes(with("k", 9, n32(0) + n64(count))); }, refused("elements of at least 1 bytes"));
  }
  EXPECT_THAT([&] { open_bytes(with("k", 9, n32(7) + n64(2) + "\1\3")); }, refused("bool of value 3"));
  GgufBuilder twice;
  twice.u32("a", 1), twice.u32("a", 2);
  EXPECT_THAT([&] { open_bytes(twice.bytes() + floats(8)); }, refused("'a' appears twice"));
}

TEST(GgufReader, RefusesABrokenAlignment) {
  for (const std::uint32_t alignment : {0u, 1u, 4u, 24u, 1u << 21, 0x80000000u}) {
    GgufBuilder b;
    b.u32("general.alignment", alignment);
    EXPECT_THAT([&] { open_bytes(b.bytes()); }, refused("allowed are powers of two from 8 to 1048576"));
  }
  GgufBuilder text;
  text.text("general.alignment", "32");
  EXPECT_THAT([&] { open_bytes(text.bytes()); }, refused("general.alignment has type string"));
}

// One tensor entry written out by hand, with 64 bytes of data.
std::string with_tensor(const std::string& name, const std::vector<std::uint64_t>& dims, std::uint32_t type,
                        std::uint64_t offset) {
  GgufBuilder b;
  std::string entry = GgufBuilder::string(name) + GgufBuilder::number(static_cast<std::uint32_t>(dims.size()));
  for (const std::uint64_t dim : dims) entry += GgufBuilder::number(dim);
  b.raw_tensor(entry + GgufBuilder::number(type) + GgufBuilder::number(offset), std::string(64, '\0'));
  return b.bytes();
}

TEST(GgufReader, RefusesBrokenTensors) {
  EXPECT_NO_THROW(open_bytes(with_tensor("w", {4, 4}, 0, 0)));
  EXPECT_THAT([] { open_bytes(with_tensor("w", {}, 0, 0)); }, refused("has 0 dimensions, allowed are 1 to 4"));
  EXPECT_THAT([] { open_bytes(with_tensor("w", {1, 1, 1, 1, 1}, 0, 0)); }, refused("has 5 dimensions"));
  EXPECT_THAT([] { open_bytes(with_tensor("w", {0}, 0, 0)); }, refused("has dimension 0"));
  EXPECT_THAT([] { open_bytes(with_tensor("w", {~std::uint64_t{0}}, 0, 0)); }, refused("has dimension 18446744073709551615"));
  const std::uint64_t big = std::uint64_t{1} << 32;
  EXPECT_THAT([&] { open_bytes(with_tensor("w", {big, big}, 0, 0)); }, refused("more than 2^62 elements"));
  EXPECT_THAT([&] { open_bytes(with_tensor("w", {big, big, big, big}, 0, 0)); }, refused("more than 2^62 elements"));
  EXPECT_THAT([] { open_bytes(with_tensor("w", {std::uint64_t{1} << 40}, 0, 0)); }, refused("needs 4398046511104 bytes"));
  EXPECT_THAT([] { open_bytes(with_tensor("w", {100}, 35, 0)); }, refused("not rows of whole blocks of 256 weights"));
  EXPECT_THAT([] { open_bytes(with_tensor("w", {100}, 36, 0)); }, refused("not a tensor of whole blocks of 128 weights"));
  EXPECT_THAT([] { open_bytes(with_tensor("w", {128}, 36, 0)); }, testing::Not(testing::Throws<Error>()));
  EXPECT_THAT([] { open_bytes(with_tensor("w", {256}, 36, 0)); }, refused("needs 96 bytes"));
  EXPECT_THAT([] { open_bytes(with_tensor("w", {4}, 0, 1)); },
              refused("offset 1, which is not a multiple of the alignment 32"));
  EXPECT_THAT([] { open_bytes(with_tensor("w", {4}, 0, 64)); }, refused("needs 16 bytes at offset 64"));
  EXPECT_THAT([] { open_bytes(with_tensor("w", {4}, 0, ~std::uint64_t{31})); }, refused("at offset 18446744073709551584"));
  EXPECT_THAT([] { open_bytes(with_tensor("", {4}, 0, 0)); }, refused("tensor name is empty"));
  EXPECT_THAT([] { open_bytes(with_tensor("\xc0", {4}, 0, 0)); }, refused("is not UTF-8"));
  EXPECT_THAT([] { open_bytes(with_tensor(std::string(300, 'w'), {4}, 0, 0)); }, refused("length of 300, at most 256"));
  EXPECT_THAT([] { open_bytes(with_tensor("a\x1b[2J", {0}, 0, 0)); }, refused("'a\\x1b[2J' has dimension 0"));
}

TEST(GgufReader, NamesTypesItDoesNotRead) {
  EXPECT_THAT([] { open_bytes(with_tensor("w", {16}, 40, 0)); },
              refused("tensor 'w' has type 40 (NVFP4), supported are F32, F16"));
  EXPECT_THAT([] { open_bytes(with_tensor("w", {16}, 37, 0)); }, refused("type 37 (I8_S)"));
  EXPECT_THAT([] { open_bytes(with_tensor("w", {16}, 12345, 0)); }, refused("type 12345 (unknown)"));
  EXPECT_THAT([] { open_bytes(with_tensor("w", {16}, ~0u, 0)); }, refused("type 4294967295 (unknown)"));
  for (const DataTypeInfo& type : data_types()) {
    EXPECT_THAT([] { open_bytes(with_tensor("w", {16}, 10, 0)); }, refused(std::string(type.name)));
  }
}

TEST(GgufReader, RefusesTensorsThatRepeatOrOverlap) {
  GgufBuilder twice;
  twice.tensor("w", {4}, 0, floats(4)), twice.tensor("w", {4}, 0, floats(4));
  EXPECT_THAT([&] { open_bytes(twice.bytes()); }, refused("tensor 'w' appears twice"));
  GgufBuilder overlap;
  overlap.tensor("a", {16}, 0, floats(16));
  const std::string entry =
      GgufBuilder::string("b") + GgufBuilder::number(std::uint32_t{1}) + GgufBuilder::number(std::uint64_t{16});
  overlap.raw_tensor(entry + GgufBuilder::number(std::uint32_t{0}) + GgufBuilder::number(std::uint64_t{32}), floats(16));
  EXPECT_THAT([&] { open_bytes(overlap.bytes()); }, refused("tensors 'a' and 'b' overlap"));
}

TEST(GgufReader, EveryTruncationIsRefused) {
  const std::string bytes = small().bytes();
  const std::size_t needed = bytes.size() - 24;  // the last tensor's padding may be missing
  for (std::size_t size = 1; size < needed; ++size)
    EXPECT_THAT([&] { open_bytes(bytes.substr(0, size)); }, refused("")) << size;
  EXPECT_NO_THROW(open_bytes(bytes.substr(0, needed)));
}

TEST(GgufReader, SurvivesFlippedBytes) {
  const std::string bytes = small().bytes();
  test::open_with_flipped_bytes(bytes, open_bytes);
}

}  // namespace
}  // namespace bitnet
