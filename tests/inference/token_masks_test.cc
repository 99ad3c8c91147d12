// Token masks: the tokens that a mask holds are those whose bytes the matcher takes, at every place of random texts.
#include "inference/grammar/token_masks.h"

#include <gmock/gmock.h>

#include <chrono>
#include <thread>

#include "common/utf8.h"
#include "inference/grammar/token_mask_cache.h"
#include "support/grammar_samples.h"

namespace bitnet {
namespace {

const std::vector<std::string> words = {"{\"",        "\": ",
                                        "\",",        "\", \"",
                                        "\"}",        "}}",
                                        "}]",         "}\n",
                                        "null",       "true",
                                        "false",      " true",
                                        "name",       "na",
                                        "me\":",      "ab",
                                        "abab",       "ba",
                                        "aaaa",       "12",
                                        "123",        "0.5",
                                        "-1",         "1e",
                                        "\\u",        "\\\"",
                                        "\\n",        "Z\xc3",
                                        "\xbcr",      "\xe2\x82",
                                        "\xac",       "\xf0\x9f\x98",
                                        "\xff",       "\xc0\x80",
                                        " ",          "  ",
                                        "\n    ",     "[[",
                                        "]]",         "[\"",
                                        ", ",         "hello world",
                                        "the",        " the quick",
                                        "2024-01-01", "color\": \"red\"",
                                        "\"",         "\"\""};

std::vector<test::GrammarPtr> grammars() {
  return {
      grammar_from_gbnf("root ::= (\"a\" root \"b\" | [ab] \"ab\"* )+ | \"\\n\" [^x] .*\n"),
      grammar_from_gbnf("root ::= any \"x\"\nany ::= .*\n"),
      grammar_from_regex("(?:ab|ba)*(?:12)?[a-z ]{0,12}"),
      grammar_from_choices(std::vector<std::string>{"null", "true", "the quick", "Zürich", "hello world"}),
      grammar_of_json_objects(),
      grammar_from_json_schema(
          R"({"type":"object","properties":{"name":{"type":"string","maxLength":9},"n":{"type":"integer","minimum":-3,"maximum":150},
            "tags":{"type":"array","items":{"enum":["ab","abab","b"]},"maxItems":3},"color":{"const":"red"},"at":{"type":"string","format":"date"},
            "more":{"anyOf":[{"type":"null"},{"type":"number"},{"$ref":"#"}]}},"required":["n"],"additionalProperties":{"type":"boolean"}})")};
}

void expect_masks(const Tokenizer& tokenizer, const std::vector<TokenId>& ends, const test::GrammarPtr& grammar,
                  unsigned seed) {
  const auto n_vocab = static_cast<std::int64_t>(tokenizer.size());
  const auto trie = std::make_shared<TokenTrie>(tokenizer, n_vocab, ends);
  const TokenMasks masks(grammar, trie);
  std::mt19937 random(seed);
  GrammarMatcher matcher(grammar);
  bool first = true;
  for (int step = 0; step < 60 && matcher.can_continue(); ++step) {
    TokenSet allowed(n_vocab), expected(n_vocab);
    masks.allowed(matcher, first, allowed);
    for (TokenId id = 0; id < n_vocab; ++id) {
      std::string piece = tokenizer.piece(id);
      if (first && tokenizer.leading_space() != LeadingSpace::keep && piece.starts_with(' ')) piece.erase(0, 1);
      const TokenKind kind = tokenizer.kind(id);
      const bool is_text =
          kind != TokenKind::control && kind != TokenKind::unknown && std::find(ends.begin(), ends.end(), id) == ends.end();
      if (is_text && !piece.empty() && GrammarMatcher(matcher).accept(piece)) expected.add(id);
    }
    ASSERT_EQ(allowed.ids(), expected.ids()) << "seed " << seed << " step " << step;
    ASSERT_GT(allowed.count(), 0u);
    const std::vector<TokenId> ids = allowed.ids();
    // Long tokens come more often than they would.
    TokenId id = ids[random() % ids.size()];
    for (int i = 0; i < 4 && tokenizer.piece(id).size() < 2; ++i) id = ids[random() % ids.size()];
    std::string piece = tokenizer.piece(id);
    if (first && tokenizer.leading_space() != LeadingSpace::keep && piece.starts_with(' ')) piece.erase(0, 1);
    ASSERT_TRUE(matcher.accept(piece));
    first = false;
  }
}

TEST(TokenMasks, HoldWhatTheMatcherTakes) {
  const auto tokenizer = test::byte_level_tokenizer(words);
  for (const test::GrammarPtr& grammar : grammars()) {
    for (unsigned seed = 1; seed <= 12; ++seed) expect_masks(*tokenizer, {*tokenizer->vocabulary().eos}, grammar, seed);
    if (HasFatalFailure()) return;
  }
}

// SentencePiece: byte tokens, word marks, and a leading space that decoding drops.
std::unique_ptr<const Tokenizer> sentencepiece_tokenizer(bool with_bytes) {
  Vocabulary v;
  v.model = "llama";
  const auto add = [&](std::string text, TokenKind kind) { v.tokens.push_back(std::move(text)), v.kinds.push_back(kind); };
  add("<unk>", TokenKind::unknown), add("<s>", TokenKind::control), add("</s>", TokenKind::control);
  for (int byte = 0; with_bytes && byte < 256; ++byte) add(fmt::format("<0x{:02X}>", byte), TokenKind::byte);
  for (const std::string& word : words) {
    if (!utf8_valid(word)) continue;
    std::string text;
    for (const char c : word) text += c == ' ' ? "\xe2\x96\x81" : std::string(1, c);
    if (std::find(v.tokens.begin(), v.tokens.end(), text) == v.tokens.end()) add(text, TokenKind::normal);
  }
  add("\xe2\x96\x81{\"", TokenKind::normal), add("\xe2\x96\x81null", TokenKind::normal),
      add("\xe2\x96\x81"
          "ab",
          TokenKind::normal);
  v.scores.assign(v.tokens.size(), 0.0f);
  v.unk = 0, v.bos = 1, v.eos = 2;
  return make_tokenizer(std::move(v));
}

TEST(TokenMasks, ALeadingSpaceThatDecodingDropsIsNotPartOfTheText) {
  const auto tokenizer = sentencepiece_tokenizer(true);
  ASSERT_NE(tokenizer->leading_space(), LeadingSpace::keep);
  for (const test::GrammarPtr& grammar : grammars()) {
    for (unsigned seed = 1; seed <= 4; ++seed) expect_masks(*tokenizer, {2}, grammar, seed);
    if (HasFatalFailure()) return;
  }
}

TEST(TokenMasks, AVocabularyWithoutAByteIsRefusedWhereTheGrammarNeedsIt) {
  const auto tokenizer = sentencepiece_tokenizer(false);
  const std::vector<TokenId> ends = {2};
  TokenMaskCache cache(*tokenizer, static_cast<std::int64_t>(tokenizer->size()), ends);
  try {
    cache.of(grammar_from_regex("abx"));
    FAIL() << "the vocabulary has no token for 'a'";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unsupported);
    EXPECT_THAT(error.what(), testing::HasSubstr("single byte 0x61"));
  }
  EXPECT_EQ(cache.of(grammar_from_regex("\" *"))->trie().n_vocab(), static_cast<std::int64_t>(tokenizer->size()));
}

TEST(TokenMaskCache, GivesOneGrammarTheSameMasksAndForgetsOldOnes) {
  const auto tokenizer = test::byte_level_tokenizer(words);
  TokenMaskCache cache(*tokenizer, static_cast<std::int64_t>(tokenizer->size()), {});
  const auto first = grammar_of_json_objects();
  const std::weak_ptr<const TokenMasks> masks = cache.of(first);
  EXPECT_EQ(cache.of(first), masks.lock());
  for (int i = 0; i < 20; ++i) cache.of(grammar_from_regex("a{" + std::to_string(i + 1) + "}"));
  EXPECT_TRUE(masks.expired());
}

TEST(TokenMasks, AreTheSameFromManyThreads) {
  const auto tokenizer = test::byte_level_tokenizer(words);
  const auto n_vocab = static_cast<std::int64_t>(tokenizer->size());
  const auto grammar = grammar_of_json_objects();
  const TokenMasks masks(grammar, std::make_shared<TokenTrie>(*tokenizer, n_vocab, std::vector<TokenId>{}));
  const std::string text = R"({"ab": [1, {"name": null}, "x\n"], "b": {}})";
  std::vector<std::vector<std::size_t>> counts(4);
  std::vector<std::thread> threads;
  for (auto& mine : counts) {
    threads.emplace_back([&] {
      GrammarMatcher matcher(grammar);
      for (const char c : text) {
        TokenSet allowed(n_vocab);
        masks.allowed(matcher, false, allowed);
        mine.push_back(allowed.count());
        matcher.accept(std::string(1, c));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& mine : counts) EXPECT_EQ(mine, counts[0]);
}

}  // namespace
}  // namespace bitnet
