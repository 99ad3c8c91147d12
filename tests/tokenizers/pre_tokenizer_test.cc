// Where each published pre-tokenizer cuts.
#include "tokenizers/pre_tokenizer.h"

#include <gmock/gmock.h>

namespace bitnet {
namespace {

using testing::ElementsAre;

std::vector<std::string> words(PreTokenizer kind, std::string_view text) {
  std::vector<std::string> out;
  pre_tokenize(kind, text, [&](std::string_view word) { out.emplace_back(word); });
  return out;
}

TEST(PreTokenizer, Gpt2) {
  EXPECT_THAT(words(PreTokenizer::gpt2, "I'm sure  you'LL see 123,456!"),
              ElementsAre("I", "'m", " sure", " ", " you", "'", "LL", " see", " 123", ",", "456", "!"));
  EXPECT_THAT(words(PreTokenizer::gpt2, "a\n\n b  "), ElementsAre("a", "\n\n", " b", "  "));
}

TEST(PreTokenizer, Llama3) {
  EXPECT_THAT(words(PreTokenizer::llama3, "I'M 12345 x"), ElementsAre("I", "'M", " ", "123", "45", " x"));
  EXPECT_THAT(words(PreTokenizer::llama3, "a.b ...\n\n  c \n d"), ElementsAre("a", ".b", " ...\n\n", " ", " c", " \n", " d"));
  EXPECT_THAT(words(PreTokenizer::llama3, "\xe4\xb8\xad\xe6\x96\x87!\xf0\x9f\x98\x80"),
              ElementsAre("\xe4\xb8\xad\xe6\x96\x87", "!\xf0\x9f\x98\x80"));
}

TEST(PreTokenizer, Qwen2CutsDigitsSingly) { EXPECT_THAT(words(PreTokenizer::qwen2, "v12"), ElementsAre("v", "1", "2")); }

TEST(PreTokenizer, SmollmCutsDigitsBeforeSpaces) {
  EXPECT_THAT(words(PreTokenizer::smollm, "x 12 y"), ElementsAre("x", " ", "1", "2", " y"));
}

TEST(PreTokenizer, O200kCutsAtCapitals) {
  EXPECT_THAT(words(PreTokenizer::o200k, "camelCase HTTPServer don't a/b"),
              ElementsAre("camel", "Case", " HTTPServer", " don't", " a", "/b"));
  EXPECT_THAT(words(PreTokenizer::o200k, "ABC 1234"), ElementsAre("ABC", " ", "123", "4"));
}

TEST(PreTokenizer, DeepseekV3) {
  EXPECT_THAT(words(PreTokenizer::deepseek_v3, "abc\xe4\xb8\xad\xe6\x96\x87xyz 12345"),
              ElementsAre("abc", "\xe4\xb8\xad\xe6\x96\x87", "xyz", " ", "123", "45"));
  EXPECT_THAT(words(PreTokenizer::deepseek_v3, "a.bc"), ElementsAre("a", ".bc"));
}

TEST(PreTokenizer, DeepseekCoder) {
  EXPECT_THAT(words(PreTokenizer::deepseek_coder, "if x1:\n y"), ElementsAre("if", " x", "1", ":", "\n", " y"));
}

TEST(PreTokenizer, LosesNothing) {
  const std::string text = "a'\xff\xc3(\xe2\x80 \t\r\n12\xcc\x81'S\xf0\x9f\x91\xa9\xe2\x80\x8d  \xe3\x80\x80x";
  for (const PreTokenizer kind :
       {PreTokenizer::whole, PreTokenizer::gpt2, PreTokenizer::llama3, PreTokenizer::qwen2, PreTokenizer::smollm,
        PreTokenizer::o200k, PreTokenizer::deepseek_v3, PreTokenizer::deepseek_coder}) {
    std::string joined;
    for (const std::string& word : words(kind, text)) joined += word;
    EXPECT_EQ(joined, text);
  }
}

TEST(PreTokenizer, IsFoundByNameAndExpression) {
  EXPECT_EQ(pre_tokenizer_by_name("falcon3"), PreTokenizer::llama3);
  EXPECT_EQ(pre_tokenizer_by_name("falcon-e"), PreTokenizer::llama3);
  EXPECT_EQ(pre_tokenizer_by_name("smollm"), PreTokenizer::smollm);
  EXPECT_EQ(pre_tokenizer_by_name("unheard-of"), std::nullopt);
  EXPECT_EQ(pre_tokenizer_by_regex(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"),
            PreTokenizer::gpt2);
  EXPECT_EQ(pre_tokenizer_by_regex(R"(\w+)"), std::nullopt);
}

}  // namespace
}  // namespace bitnet
