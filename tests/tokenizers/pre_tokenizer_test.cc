// Where each published pre-tokenizer cuts.
#include "tokenizers/pre_tokenizer.h"

#include <gmock/gmock.h>

#include "growth.h"

namespace bitnet {
namespace {

using testing::ElementsAre;

std::vector<std::string> words(std::string_view name, std::string_view text) {
  std::vector<std::string> out;
  pre_tokenize(pre_tokenizer_by_name(name).value().rules, text, [&](std::string_view word) { out.emplace_back(word); });
  return out;
}

TEST(PreTokenizer, Gpt2) {
  EXPECT_THAT(words("gpt-2", "I'm sure  you'LL see 123,456!"),
              ElementsAre("I", "'m", " sure", " ", " you", "'", "LL", " see", " 123", ",", "456", "!"));
  EXPECT_THAT(words("gpt-2", "a\n\n b  "), ElementsAre("a", "\n\n", " b", "  "));
}

TEST(PreTokenizer, Llama3) {
  EXPECT_THAT(words("llama-bpe", "I'M 12345 x"), ElementsAre("I", "'M", " ", "123", "45", " x"));
  EXPECT_THAT(words("llama-bpe", "a.b ...\n\n  c \n d"), ElementsAre("a", ".b", " ...\n\n", " ", " c", " \n", " d"));
  EXPECT_THAT(words("llama-bpe", "\xe4\xb8\xad\xe6\x96\x87!\xf0\x9f\x98\x80"),
              ElementsAre("\xe4\xb8\xad\xe6\x96\x87", "!\xf0\x9f\x98\x80"));
}

TEST(PreTokenizer, Qwen2CutsDigitsSingly) { EXPECT_THAT(words("qwen2", "v12"), ElementsAre("v", "1", "2")); }

TEST(PreTokenizer, SmollmCutsDigitsBeforeSpaces) {
  EXPECT_THAT(words("smollm", "x 12 y"), ElementsAre("x", " ", "1", "2", " y"));
}

TEST(PreTokenizer, O200kCutsAtCapitals) {
  EXPECT_THAT(words("gpt-4o", "camelCase HTTPServer don't a/b"),
              ElementsAre("camel", "Case", " HTTPServer", " don't", " a", "/b"));
  EXPECT_THAT(words("gpt-4o", "ABC 1234"), ElementsAre("ABC", " ", "123", "4"));
}

TEST(PreTokenizer, DeepseekV3) {
  EXPECT_THAT(words("deepseek-v3", "abc\xe4\xb8\xad\xe6\x96\x87xyz 12345"),
              ElementsAre("abc", "\xe4\xb8\xad\xe6\x96\x87", "xyz", " ", "123", "45"));
  EXPECT_THAT(words("deepseek-v3", "a.bc"), ElementsAre("a", ".bc"));
}

TEST(PreTokenizer, DeepseekCoder) {
  EXPECT_THAT(words("deepseek-coder", "if x1:\n y"), ElementsAre("if", " x", "1", ":", "\n", " y"));
}

TEST(PreTokenizer, DeepseekLlmKnowsTheLettersItLists) {
  EXPECT_THAT(words("deepseek-llm", "ab cd\xe4\xb8\xad\xe6\x96\x87 \xc6\xbb 12.\n  "),
              ElementsAre("ab", " cd", "\xe4\xb8\xad\xe6\x96\x87", " \xc6\xbb ", "1", "2", ".", "\n", "  "));
}

TEST(PreTokenizer, TekkenIsO200kWithoutContractions) {
  EXPECT_THAT(words("tekken", "Don't12"), ElementsAre("Don", "'t", "1", "2"));
  EXPECT_THAT(words("gpt-4o", "Don't12"), ElementsAre("Don't", "12"));
}

TEST(PreTokenizer, Qwen35KeepsMarksInWords) {
  EXPECT_THAT(words("qwen35", "e\xcc\x81t!\xcc\x81 !\xcc\x81"), ElementsAre("e\xcc\x81t", "!\xcc\x81", " !", "\xcc\x81"));
  EXPECT_THAT(words("qwen2", "e\xcc\x81t"), ElementsAre("e", "\xcc\x81t"));
}

TEST(PreTokenizer, ContractionsFoldTheLongSOnlyWhereTheExpressionDoes) {
  EXPECT_THAT(words("llama-bpe",
                    "a'\xc5\xbf"
                    "b"),
              ElementsAre("a", "'\xc5\xbf", "b"));
  EXPECT_THAT(words("gpt-4o",
                    "a'\xc5\xbf"
                    "b"),
              ElementsAre("a'\xc5\xbf", "b"));
  EXPECT_THAT(words("cl100k",
                    "a'\xc5\xbf"
                    "b"),
              ElementsAre("a",
                          "'\xc5\xbf"
                          "b"));
  EXPECT_THAT(words("gpt-2", "a'S"), ElementsAre("a", "'", "S"));
}

constexpr std::string_view every_family[] = {"gpt-2",  "llama-bpe", "cl100k",  "qwen2",       "qwen35",         "smollm",
                                             "gpt-4o", "tekken",    "falcon3", "deepseek-v3", "deepseek-coder", "deepseek-llm"};

TEST(PreTokenizer, LosesNothing) {
  const std::string text = "a'\xff\xc3(\xe2\x80 \t\r\n12\xcc\x81'S\xf0\x9f\x91\xa9\xe2\x80\x8d  \xe3\x80\x80x";
  for (const std::string_view name : every_family) {
    std::string joined;
    for (const std::string& word : words(name, text)) joined += word;
    EXPECT_EQ(joined, text) << name;
  }
}

// Eight times the text, so that quadratic time would be 64 times. Each time is the least of some runs, and there are more runs
// while the ratio looks too high: what else runs on the machine only ever adds time.
TEST(PreTokenizer, TakesTimeInProportionToTheText) {
  for (const std::string_view name : every_family) {
    const PreTokenizer rules = pre_tokenizer_by_name(name).value().rules;
    for (const std::string_view unit : {"A", " ", "\n", "1", "!", " \xcc\x81", "\xcc\x81", "AA\xcc\x81"}) {
      const std::string small = test::repeated(unit, 30'000), large = test::repeated(unit, 240'000);
      const auto time = [&](const std::string& text) {
        return test::seconds([&] { pre_tokenize(rules, text, [](std::string_view) {}); });
      };
      double of_small = 1e9, of_large = 1e9;
      for (int run = 0; run < 100 && (run < 3 || of_large > 16 * of_small); ++run)
        of_small = std::min(of_small, std::max(time(small), 1e-6)), of_large = std::min(of_large, time(large));
      EXPECT_LT(of_large, 32 * of_small) << name << " on repeated '" << unit << "'";
    }
  }
}

TEST(PreTokenizer, IsFoundByName) {
  EXPECT_THAT(pre_tokenizer_by_name("falcon-e")->rules, ElementsAre(SplitRule::llama3));
  EXPECT_TRUE(pre_tokenizer_by_name("llama-bpe")->ignore_merges);
  EXPECT_FALSE(pre_tokenizer_by_name("smaug-bpe")->ignore_merges);
  EXPECT_TRUE(pre_tokenizer_by_name("qwen2")->nfc);
  EXPECT_EQ(pre_tokenizer_by_name("unheard-of"), std::nullopt);
}

TEST(PreTokenizer, IsFoundByExpression) {
  const std::string rest = R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  EXPECT_EQ(split_rule_by_regex(R"((?i:'s|'t|'re|'ve|'m|'ll|'d))" + rest), SplitRule::llama3);
  EXPECT_EQ(split_rule_by_regex(R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]))" + rest), SplitRule::cl100k);
  EXPECT_EQ(split_rule_by_regex(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"),
            SplitRule::gpt2);
  EXPECT_EQ(split_rule_by_regex(R"([\r\n])"), SplitRule::newline);
  EXPECT_EQ(split_rule_by_regex("[\r\n]"), SplitRule::newline) << "the newline itself in the class";
  EXPECT_EQ(split_rule_by_regex(R"(\w+)"), std::nullopt);
  EXPECT_EQ(split_rule_by_regex(R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|\w+)"), std::nullopt);
  EXPECT_EQ(split_rule_by_regex(""), std::nullopt);
}

}  // namespace
}  // namespace bitnet
