// The SafeTensors reader takes what the format allows, and refuses everything else with the place and the fact.
#include "models/safetensors.h"

#include <gmock/gmock.h>

#include <random>

#include "common/error.h"
#include "support/byte_flips.h"
#include "support/safetensors_builder.h"

namespace bitnet {
namespace {

using test::safetensors_file;
using test::SafetensorsBuilder;
using testing::AllOf;
using testing::HasSubstr;
using testing::Property;

SafetensorsFile open_bytes(const std::string& bytes) {
  const test::TempFile file(bytes, ".safetensors");
  return SafetensorsFile::open(file.path());
}

auto refused(const std::string& text) {
  return testing::Throws<Error>(AllOf(Property(&Error::kind, ErrorKind::bad_model), Property(&Error::what, HasSubstr(text))));
}

// A header of one tensor "w" with these members, over 8 bytes of data.
std::string with(const std::string& members) { return safetensors_file("{\"w\":{" + members + "}}", std::string(8, '\0')); }

constexpr const char* right = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";

TEST(Safetensors, FindsTensorsAndMetadata) {
  SafetensorsBuilder b;
  b.member(R"("__metadata__":{"format":"pt","note":""})");
  b.tensor("w", "BF16", {2, 3}, "abcdefghijkl"), b.tensor("n", "I64", {}, "12345678");
  const SafetensorsFile file = open_bytes(b.bytes());
  ASSERT_EQ(file.tensors().size(), 2u);
  const SafetensorsTensor &w = file.tensors()[0], &n = file.tensors()[1];
  EXPECT_EQ(w.name, "w");
  EXPECT_EQ(w.data_type, DataType::bf16);
  EXPECT_EQ(w.shape, (Shape{{2, 3}}));
  EXPECT_EQ(w.offset + 20, file.size());
  EXPECT_EQ(static_cast<char>(w.bytes[3]), 'd');
  EXPECT_EQ(n.dtype, "I64");
  EXPECT_FALSE(n.data_type.has_value());
  EXPECT_EQ(n.shape.elements(), 1);
  EXPECT_EQ(n.bytes.size(), 8u);
  using Entry = std::pair<std::string, std::string>;
  EXPECT_THAT(file.metadata(), testing::ElementsAre(Entry{"format", "pt"}, Entry{"note", ""}));
}

TEST(Safetensors, UnusualFilesThatAreRight) {
  EXPECT_NO_THROW(open_bytes(safetensors_file("{}")));
  EXPECT_NO_THROW(open_bytes(safetensors_file("{} \n\t ")));
  EXPECT_NO_THROW(open_bytes(with(right)));
  EXPECT_NO_THROW(open_bytes(with(R"("data_offsets":[0,8],"shape":[1,2,1,1,1,1],"dtype":"F32")")));
  EXPECT_NO_THROW(open_bytes(with(std::string(right) + R"(,"more":{"a":[1,{"b":null}],"c":"d"},"and":1.5)")));
  SafetensorsBuilder empty;
  empty.tensor("a", "F32", {0}, ""), empty.tensor("b", "F32", {1}, "1234"), empty.tensor("c", "U8", {7, 0}, "");
  EXPECT_EQ(open_bytes(empty.bytes()).tensors().size(), 3u);
  SafetensorsBuilder small;
  small.tensor("a", "F4", {2}, "1"), small.tensor("b", "F6_E2M3", {4}, "123"), small.tensor("c", "BOOL", {1}, "\1");
  EXPECT_NO_THROW(open_bytes(small.bytes()));
}

TEST(Safetensors, RefusesABrokenBeginning) {
  EXPECT_THAT([] { open_bytes("1234567"); }, refused("header length needs 8 bytes"));
  EXPECT_THAT([] { open_bytes(std::string(8, '\0')); }, refused("it must begin with '{'"));
  EXPECT_THAT([] { open_bytes(test::GgufBuilder::number<std::uint64_t>(3) + "{}"); }, refused("header needs 3 bytes"));
  EXPECT_THAT([] { open_bytes(test::GgufBuilder::number<std::uint64_t>(100'000'001) + "{}"); },
              refused("header length is 100000001, at most 100000000"));
  EXPECT_THAT([] { open_bytes(test::GgufBuilder::number(~std::uint64_t{0}) + "{}"); }, refused("at most 100000000"));
  EXPECT_THAT([] { open_bytes(safetensors_file(" {}")); }, refused("the header begins with ' '"));
  EXPECT_THAT([] { open_bytes(safetensors_file("[]")); }, refused("the header begins with '['"));
}

TEST(Safetensors, RefusesWhatIsNotJson) {
  for (const std::string header : {"{", "{}}", "{} x", "{\"a\"}", "{'a':1}", "{,}", "{\"\xff\":{}}"}) {
    EXPECT_THAT([&] { open_bytes(safetensors_file(header)); }, refused("header: is not JSON")) << header;
  }
  EXPECT_THAT([] { open_bytes(safetensors_file(std::string("{}\0", 3))); }, refused("header: is not JSON: byte 2 is zero"));
}

TEST(Safetensors, RefusesMembersThatAreNotAsTheFormatSays) {
  const std::pair<std::string, std::string> cases[] = {
      {R"("dtype":"F32","shape":[2])", "tensor 'w' has no data_offsets"},
      {R"("dtype":"F32","data_offsets":[0,8])", "tensor 'w' has no shape"},
      {R"("shape":[2],"data_offsets":[0,8])", "tensor 'w' has no dtype"},
      {R"("dtype":1,"shape":[2],"data_offsets":[0,8])", "its dtype is a number"},
      {R"("dtype":["F32"],"shape":[2],"data_offsets":[0,8])", "its dtype is an array"},
      {R"("dtype":"F33","shape":[2],"data_offsets":[0,8])", "dtype 'F33', which the format does not know"},
      {R"("dtype":"F32","shape":2,"data_offsets":[0,8])", "its shape is a number"},
      {R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])", "its shape holds a negative number"},
      {R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])", "its shape holds a number that is no integer"},
      {R"("dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8])", "its shape holds a number that is no integer"},
      {R"("dtype":"F32","shape":[[2]],"data_offsets":[0,8])", "its shape holds an array"},
      {R"("dtype":"F32","shape":[2],"data_offsets":[0])", "data_offsets of one number or none"},
      {R"("dtype":"F32","shape":[2],"data_offsets":[0,8,8])", "more than two data_offsets"},
      {R"("dtype":"F32","shape":[2],"data_offsets":[0,"8"])", "its data_offsets hold a string"},
      {R"("dtype":"F32","shape":[2],"data_offsets":{})", "its data_offsets is an object"},
      {R"("dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8])", "has 'dtype' twice"},
  };
  for (const auto& [members, fact] : cases) EXPECT_THAT([&] { open_bytes(with(members)); }, refused(fact)) << members;
  EXPECT_THAT([] { open_bytes(safetensors_file(R"({"w":[]})")); }, refused("tensor 'w' is an array, it must be an object"));
  EXPECT_THAT([] { open_bytes(safetensors_file(R"({"w":null})")); }, refused("tensor 'w' is null"));
  const std::string deep = std::string(R"("x":)") + std::string(100, '[') + std::string(100, ']');
  EXPECT_THAT([&] { open_bytes(with(std::string(right) + "," + deep)); }, refused("nested deeper than 64"));
}

TEST(Safetensors, RefusesNamesThatAppearTwice) {
  const std::string w = std::string("{") + right + "}", empty = R"({"dtype":"F32","shape":[0],"data_offsets":[8,8]})";
  EXPECT_THAT([&] { open_bytes(safetensors_file("{\"w\":" + w + ",\"w\":" + empty + "}", std::string(8, '\0'))); },
              refused("tensor 'w' appears twice"));
  EXPECT_THAT([&] { open_bytes(safetensors_file("{\"w\":" + w + ",\"\\u0077\":" + empty + "}", std::string(8, '\0'))); },
              refused("tensor 'w' appears twice"));
  EXPECT_THAT([] { open_bytes(safetensors_file(R"({"__metadata__":{},"__metadata__":{}})")); },
              refused("__metadata__ appears twice"));
  EXPECT_THAT([] { open_bytes(safetensors_file(R"({"__metadata__":{"a":"","a":""}})")); },
              refused("__metadata__ has 'a' twice"));
}

TEST(Safetensors, MetadataHoldsStringsOnly) {
  for (const std::string value : {"1", "-1", "1.5", "true", "null", "[]", "{}"}) {
    EXPECT_THAT([&] { open_bytes(safetensors_file("{\"__metadata__\":{\"a\":" + value + "}}")); }, refused("only strings"));
  }
  EXPECT_THAT([] { open_bytes(safetensors_file(R"({"__metadata__":"a"})")); }, refused("__metadata__ is a string"));
}

TEST(Safetensors, TheDataIsCoveredExactly) {
  const auto two = [](const std::string& a, const std::string& b, std::size_t bytes) {
    const std::string entry = R"({{"dtype":"U8","shape":[{}],"data_offsets":[{}]}})";
    return safetensors_file("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[" + a +
                                "]},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[" + b + "]}}",
                            std::string(bytes, '\0'));
  };
  EXPECT_NO_THROW(open_bytes(two("0,4", "4,8", 8)));
  EXPECT_NO_THROW(open_bytes(two("4,8", "0,4", 8)));
  EXPECT_THAT([&] { open_bytes(two("0,4", "4,8", 9)); }, refused("the tensors cover 8 bytes of the data, which has 9"));
  EXPECT_THAT([&] { open_bytes(two("0,4", "4,8", 7)); }, refused("data_offsets 4 to 8, the data has 7 bytes"));
  EXPECT_THAT([&] { open_bytes(two("0,4", "5,9", 9)); },
              refused("begins at byte 5 of the data, the tensors before it end at 4"));
  EXPECT_THAT([&] { open_bytes(two("0,4", "3,7", 7)); }, refused("overlaps are not allowed"));
  EXPECT_THAT([&] { open_bytes(two("0,4", "0,4", 4)); }, refused("overlaps are not allowed"));
  EXPECT_THAT([&] { open_bytes(two("1,5", "5,9", 9)); }, refused("holes are not allowed"));
  EXPECT_THAT([&] { open_bytes(two("0,4", "8,4", 8)); }, refused("data_offsets 8 to 4"));
  EXPECT_THAT([&] { open_bytes(two("0,4", "4,18446744073709551615", 8)); }, refused("the data has 8 bytes"));
  EXPECT_THAT([&] { open_bytes(two("0,5", "5,9", 9)); }, refused("needs 4 bytes, its data_offsets hold 5"));
}

TEST(Safetensors, ShapesThatOverflowAreRefused) {
  for (const std::string shape : {"4294967296,4294967296", "18446744073709551615", "9223372036854775807,2",
                                  "0,18446744073709551615", "1152921504606846976,8"}) {
    EXPECT_THAT([&] { open_bytes(with(R"("dtype":"F32","shape":[)" + shape + R"(],"data_offsets":[0,8])")); }, refused("2^58"))
        << shape;
  }
  EXPECT_THAT([] { open_bytes(with(R"("dtype":"F4","shape":[17],"data_offsets":[0,8])")); },
              refused("does not end with a whole byte"));
}

TEST(Safetensors, EveryTruncationIsRefused) {
  SafetensorsBuilder b;
  b.tensor("w", "F32", {2}, "12345678"), b.tensor("v", "F16", {3}, "123456");
  const std::string bytes = b.bytes();
  for (std::size_t size = 1; size < bytes.size(); ++size)
    EXPECT_THAT([&] { open_bytes(bytes.substr(0, size)); }, refused("")) << size;
}

TEST(Safetensors, SurvivesFlippedBytes) {
  SafetensorsBuilder b;
  b.member(R"("__metadata__":{"format":"pt"})");
  b.tensor("model.w", "F32", {2, 2}, std::string(16, 'x')), b.tensor("model.v", "F16", {3}, "123456");
  const std::string bytes = b.bytes();
  test::open_with_flipped_bytes(bytes, open_bytes);
}

}  // namespace
}  // namespace bitnet
