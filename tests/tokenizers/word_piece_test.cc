// WordPiece: BERT's normalisation, the longest pieces first, both ways vocabularies are written, and decoding.
#include "tokenizers/word_piece.h"

#include <gmock/gmock.h>

#include "common/error.h"
#include "growth.h"
#include "published_cases.h"

namespace bitnet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr EncodeOptions plain{.add_special = false, .parse_special = true};

Vocabulary vocabulary(const std::vector<std::string>& pieces) {
  Vocabulary v;
  v.model = "bert";
  v.tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]"};
  v.tokens.insert(v.tokens.end(), pieces.begin(), pieces.end());
  v.kinds.assign(v.tokens.size(), TokenKind::normal);
  for (const std::size_t i : {0u, 2u, 3u}) v.kinds[i] = TokenKind::control;
  v.unk = 1, v.cls = v.bos = 2, v.sep = v.eos = 3;
  return v;
}

const std::vector<std::string> small = {"a", "un", "##able", "##a", "##b", "b",  "ab", "##ble", ".", ",", "'",
                                        "s", "n",  "##t",    "do",  "中",  "文", "e",  "$",     "σ", "-"};

std::vector<std::string> pieces(const std::string& text, const WordPieceOptions& options = {}) {
  const auto tokenizer = make_word_piece(vocabulary(small), options);
  std::vector<std::string> out;
  for (const TokenId id : tokenizer->encode(text, plain)) out.emplace_back(tokenizer->token_text(id));
  return out;
}

TEST(WordPiece, TakesTheLongestPieceFirst) {
  EXPECT_THAT(pieces("unable"), ElementsAre("un", "##able"));
  EXPECT_THAT(pieces("abab"), ElementsAre("ab", "##a", "##b"));
  EXPECT_THAT(pieces("unb"), ElementsAre("un", "##b"));
}

TEST(WordPiece, GivesUpOnTheWholeWord) {
  EXPECT_THAT(pieces("unx a"), ElementsAre("[UNK]", "a"));
  EXPECT_THAT(pieces("ta"), ElementsAre("[UNK]")) << "a piece for inside words does not begin one";
  EXPECT_THAT(pieces("xa"), ElementsAre("[UNK]"));
}

TEST(WordPiece, LimitsTheLengthOfWords) {
  EXPECT_THAT(pieces(std::string(100, 'a')), testing::SizeIs(100));
  EXPECT_THAT(pieces(std::string(101, 'a')), ElementsAre("[UNK]"));
  EXPECT_THAT(pieces("aaa aa", {.max_word_chars = 2}), ElementsAre("[UNK]", "a", "##a"));
}

TEST(WordPiece, SplitsAtSpacesPunctuationAndIdeographs) {
  EXPECT_THAT(pieces(" a\tb\n\u00a0a\u3000b "), ElementsAre("a", "b", "a", "b"));
  EXPECT_THAT(pieces("a.b,$a"), ElementsAre("a", ".", "b", ",", "$", "a")) << "ASCII symbols count as punctuation";
  EXPECT_THAT(pieces("a中文b"), ElementsAre("a", "中", "文", "b"));
  EXPECT_THAT(pieces("a中", {.split_chinese = false}), ElementsAre("[UNK]"));
  EXPECT_THAT(pieces("a\u2014b"), ElementsAre("a", "[UNK]", "b")) << "a dash that is no token";
}

TEST(WordPiece, CleansAccentsCaseAndControls) {
  EXPECT_THAT(pieces("ÀB\u0301"), ElementsAre("ab"));
  EXPECT_THAT(pieces("É e\u0301"), ElementsAre("e", "e"));
  EXPECT_THAT(pieces("Σ"), ElementsAre("σ"));
  EXPECT_THAT(pieces("a\x01\u200d\ufeff\ufffd" + std::string(1, '\0') + "b"), ElementsAre("ab"));
  EXPECT_THAT(pieces("a\xff\xe4\xb8-"), ElementsAre("a", "-")) << "broken UTF-8 is U+FFFD, which is dropped";
  EXPECT_THAT(pieces("A", {.lowercase = false}), ElementsAre("[UNK]"));
  EXPECT_THAT(pieces("é", {.strip_accents = false}), ElementsAre("[UNK]"));
  EXPECT_THAT(pieces("a\x01", {.clean_text = false}), ElementsAre("[UNK]"));
}

TEST(WordPiece, AddsClsAndSepAndParsesThemInText) {
  const auto tokenizer = make_word_piece(vocabulary(small));
  EXPECT_THAT(tokenizer->encode("a"), ElementsAre(2, 4, 3));
  EXPECT_THAT(tokenizer->encode(""), ElementsAre(2, 3));
  EXPECT_THAT(tokenizer->encode("a[SEP]a", plain), ElementsAre(4, 3, 4));
}

// llama.cpp's files mark the pieces that begin a word and leave the others bare.
TEST(WordPiece, UnderstandsMarkedBeginnings) {
  std::vector<std::string> marked;
  for (const std::string& piece : small) marked.push_back(piece.substr(0, 2) == "##" ? piece.substr(2) : "▁" + piece);
  const auto tokenizer = make_word_piece(vocabulary(marked)), usual = make_word_piece(vocabulary(small));
  for (const std::string text : {"unable", "abab able", "a中文b.b", "do n't, a-b 's", "unx", ""}) {
    const auto ids = tokenizer->encode(text, plain);
    EXPECT_EQ(ids, usual->encode(text, plain)) << text;
    EXPECT_EQ(tokenizer->decode(ids), usual->decode(ids)) << text;
  }
}

TEST(WordPiece, DecodesWithEnglishSpacing) {
  const auto tokenizer = make_word_piece(vocabulary(small));
  const auto decoded = [&](const std::string& text) { return tokenizer->decode(tokenizer->encode(text, plain)); };
  EXPECT_EQ(decoded("unable a."), "unable a.");
  EXPECT_EQ(decoded("a , b"), "a, b");
  EXPECT_EQ(decoded("a's b"), "a ' s b");
  EXPECT_EQ(decoded("a-b"), "a - b");
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{2, 4, 3}), "a");
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{2, 4, 3}, true), "[CLS] a [SEP]");
}

TEST(WordPiece, NeedsATokenForUnknownWords) {
  Vocabulary v = vocabulary(small);
  v.unk = {}, v.tokens[1] = "[NIL]";
  EXPECT_THAT([&] { make_word_piece(v); }, ThrowsMessage<Error>(HasSubstr("needs a token for unknown words")));
}

TEST(WordPiece, TakesTimeInStepWithTheText) {
  const auto tokenizer = make_word_piece(vocabulary(small));
  for (const std::string& part : {std::string("a"), std::string(" "), std::string("中"), std::string("\u0301"),
                                  std::string("😀"), std::string(99, 'a') + "x "}) {
    EXPECT_LT(test::growth(part, [&](const std::string& text) { tokenizer->encode(text, plain); }), 2.5) << part;
  }
}

TEST(WordPiece, GivesThePublishedIds) {
  const std::string json = test::published_bytes("tokenizers/bert/tokenizer.json.gz");
  if (json.empty()) GTEST_SKIP() << "no ../shared/oracle/tok beside this checkout";
  test::expect_published(*tokenizer_from_json(json, "bert"), "bert");
}

}  // namespace
}  // namespace bitnet
