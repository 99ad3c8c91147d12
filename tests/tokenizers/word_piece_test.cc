// WordPiece: normalisation, longest pieces, unknown words, decoding.
#include "tokenizers/word_piece.h"

#include <gmock/gmock.h>

#include "common/error.h"

namespace bitnet {
namespace {

using testing::ElementsAre;

Vocabulary vocabulary() {
  Vocabulary v;
  v.model = "bert";
  v.tokens = {"[PAD]", "[UNK]", "[CLS]",        "[SEP]", "un", "##aff", "##able", "##a",
              "hello", ",",     "\xe4\xb8\xad", "cafe",  ".",  "'",     "s"};
  v.kinds.assign(v.tokens.size(), TokenKind::normal);
  for (const std::size_t i : {0u, 2u, 3u}) v.kinds[i] = TokenKind::control;
  v.unk = 1, v.bos = 2, v.eos = 3;
  return v;
}

std::vector<TokenId> encode(const std::string& text) {
  return make_word_piece(vocabulary())->encode(text, {.add_special = false});
}

TEST(WordPiece, TakesTheLongestPieces) {
  EXPECT_THAT(encode("unaffable"), ElementsAre(4, 5, 6));
  EXPECT_THAT(encode("una"), ElementsAre(4, 7));
  EXPECT_THAT(encode("unafq"), ElementsAre(1)) << "all of a word or nothing";
  EXPECT_THAT(encode(std::string(101, 'a')), ElementsAre(1));
}

TEST(WordPiece, NormalisesAsBertDoes) {
  EXPECT_THAT(encode("HELLO,hello"), ElementsAre(8, 9, 8));
  EXPECT_THAT(encode("Caf\xc3\xa9"), ElementsAre(11));
  EXPECT_THAT(encode("\xe4\xb8\xad\xe4\xb8\xad"), ElementsAre(10, 10));
  EXPECT_THAT(encode("he\x01llo\t\xc2\xa0hello"), ElementsAre(8, 8));
}

TEST(WordPiece, AddsClsAndSep) { EXPECT_THAT(make_word_piece(vocabulary())->encode("hello"), ElementsAre(2, 8, 3)); }

TEST(WordPiece, DecodesWithCleanUp) {
  EXPECT_EQ(make_word_piece(vocabulary())->decode(std::vector<TokenId>{4, 5, 6, 9, 8, 12}), "unaffable, hello.");
  EXPECT_EQ(make_word_piece(vocabulary())->decode(std::vector<TokenId>{2, 8, 3}), "hello");
  EXPECT_EQ(make_word_piece(vocabulary())->decode(std::vector<TokenId>{2, 8, 3}, true), "[CLS] hello [SEP]");
}

TEST(WordPiece, UnderstandsMarkedVocabularies) {
  Vocabulary v;
  v.tokens = {"[UNK]", "\xe2\x96\x81un", "able", "\xe2\x96\x81hello"};
  v.unk = 0;
  EXPECT_THAT(make_word_piece(std::move(v))->encode("unable hello", {.add_special = false}), ElementsAre(1, 2, 3));
}

TEST(WordPiece, NeedsAnUnknownToken) {
  Vocabulary v;
  v.tokens = {"a"};
  EXPECT_THROW(make_word_piece(std::move(v)), Error);
}

}  // namespace
}  // namespace bitnet
