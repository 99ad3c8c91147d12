// Which files of a repository make up a model?
#include "models/hub/file_choice.h"

#include <gmock/gmock.h>

#include "common/error.h"

namespace bitnet::hub {
namespace {

using Names = std::vector<std::string>;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(PartsOf, NamesAllOfThem) {
  EXPECT_THAT(parts_of("a.gguf"), ElementsAre("a.gguf"));
  EXPECT_THAT(parts_of("d/a-00002-of-00003.gguf"),
              ElementsAre("d/a-00001-of-00003.gguf", "d/a-00002-of-00003.gguf", "d/a-00003-of-00003.gguf"));
  EXPECT_EQ(parts_of("a-00001-of-01000.safetensors").size(), 1000u);
  for (const char* name :
       {"a-00001-of-01001.gguf", "a-00000-of-00002.gguf", "a-00003-of-00002.gguf", "a-0001-of-00002.gguf",
        "a-00001-of-00002.bin", "a-0000x-of-00002.gguf", "-00001-of-00002.gguf", "00001-of-00002.gguf", ""}) {
    EXPECT_THAT(parts_of(name), ElementsAre(name));
  }
}

TEST(ChooseFiles, ATypeIsAWordOfTheName) {
  EXPECT_EQ(choose_files({"a-I2_S.gguf", "a-f16.gguf"}, "", "w").main, "a-I2_S.gguf");
  EXPECT_EQ(choose_files({"a_i2_s.gguf", "a-tl1.gguf"}, "", "w").main, "a_i2_s.gguf");
  EXPECT_EQ(choose_files({"a-ti2_s.gguf", "a-tl1.gguf"}, "", "w").main, "a-tl1.gguf");
  EXPECT_EQ(choose_files({"x.IQ2_BN_R4.gguf", "x.IQ2_BN.gguf"}, "iq2_bn", "w").main, "x.IQ2_BN.gguf");
}

TEST(ChooseFiles, TellsWhatIsMissing) {
  const auto choose = [](Names names, const char* wanted) { return [=] { choose_files(names, wanted, "w"); }; };
  EXPECT_THAT(choose({}, ""), ThrowsMessage<Error>(HasSubstr("w: holds neither")));
  EXPECT_THAT(choose({"model.safetensors"}, ""), ThrowsMessage<Error>(HasSubstr("config.json")));
  EXPECT_THAT(choose({"a-00001-of-00002.gguf"}, ""), ThrowsMessage<Error>(HasSubstr("'a-00002-of-00002.gguf' is missing")));
  EXPECT_THAT(choose({"a.gguf", "b.gguf"}, "c"), ThrowsMessage<Error>(HasSubstr("there are: a.gguf, b.gguf")));
  EXPECT_THAT(choose({"a.gguf", "b\x1b.gguf"}, ""), ThrowsMessage<Error>(HasSubstr("a.gguf, b\\x1b.gguf")));
  Names many;
  for (int i = 0; i < 100; ++i) many.push_back(std::to_string(i) + ".gguf");
  EXPECT_THAT(choose(many, ""), ThrowsMessage<Error>(HasSubstr(" and 84 more")));
}

}  // namespace
}  // namespace bitnet::hub
