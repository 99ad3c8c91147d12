// SentencePiece BPE, unigram and .model files: merge order, best paths, white space, unknown text, and files that lie.
#include <gmock/gmock.h>

#include <cmath>

#include "common/error.h"
#include "growth.h"
#include "published_cases.h"
#include "sentencepiece_builder.h"
#include "tokenizers/charsmap.h"
#include "tokenizers/sentencepiece_bpe.h"
#include "tokenizers/unigram.h"

namespace bitnet {
namespace {

using test::bytes_field;
using test::ModelBuilder;
using test::varint_field;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr EncodeOptions plain{.add_special = false, .parse_special = true};

using Scored = std::vector<std::pair<std::string, float>>;
const Scored letters = {{"▁", -9}, {"a", -9}, {"b", -9}, {"c", -9}};

std::vector<std::string> pieces(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<std::string> out;
  for (const TokenId id : tokenizer.encode(text, plain)) out.emplace_back(tokenizer.token_text(id));
  return out;
}

// <unk>, <s>, </s>, then the bytes from id 3 on where wanted, then the pieces and the letters.
Vocabulary vocabulary(const Scored& scored, bool bytes = false) {
  Vocabulary v;
  v.model = "llama";
  const auto add = [&](const std::string& text, float score, TokenKind kind) {
    v.tokens.push_back(text), v.scores.push_back(score), v.kinds.push_back(kind);
  };
  add("<unk>", 0, TokenKind::unknown), add("<s>", 0, TokenKind::control), add("</s>", 0, TokenKind::control);
  for (int byte = 0; bytes && byte < 256; ++byte) add(fmt::format("<0x{:02X}>", byte), 0, TokenKind::byte);
  for (const auto& [text, score] : scored) add(text, score, TokenKind::normal);
  for (const auto& [text, score] : letters) add(text, score, TokenKind::normal);
  v.unk = 0, v.bos = 1, v.eos = 2;
  return v;
}

Vocabulary unigram_vocabulary(const Scored& scored) {
  Vocabulary v = vocabulary(scored);
  v.model = "t5", v.add_eos = false;
  return v;
}

ModelBuilder model_of_letters() {
  ModelBuilder b;
  for (const auto& [text, score] : letters) b.pieces.push_back({text, score});
  return b;
}

TEST(SentencePieceBpe, MergesTheBestScoreFirst) {
  const auto tokenizer = make_sentencepiece_bpe(vocabulary({{"ab", -2}, {"bc", -1}, {"abc", -3}}));
  EXPECT_THAT(pieces(*tokenizer, "abc"), ElementsAre("▁", "abc"));
  EXPECT_THAT(pieces(*tokenizer, "abbc"), ElementsAre("▁", "ab", "bc"));
  EXPECT_THAT(pieces(*make_sentencepiece_bpe(vocabulary({{"ab", -2}, {"bc", -1}})), "abc"), ElementsAre("▁", "a", "bc"));
}

TEST(SentencePieceBpe, TakesTheLeftmostOfEquals) {
  const auto tokenizer = make_sentencepiece_bpe(vocabulary({{"aa", -1}, {"ab", -1}}));
  EXPECT_THAT(pieces(*tokenizer, "aaa"), ElementsAre("▁", "aa", "a"));
  EXPECT_THAT(pieces(*tokenizer, "aab"), ElementsAre("▁", "aa", "b"));
}

TEST(SentencePieceBpe, FollowsTheListOfMergesWhereThereIsOne) {
  Vocabulary v = vocabulary({{"ab", -1}, {"bc", -2}, {"aab", 0}});
  v.merges = {"b c", "a b"};
  const auto tokenizer = make_sentencepiece_bpe(std::move(v));
  EXPECT_THAT(pieces(*tokenizer, "abc"), ElementsAre("▁", "a", "bc"));
  EXPECT_THAT(pieces(*tokenizer, "aab"), ElementsAre("▁", "a", "ab")) << "no merge makes aab";
}

TEST(SentencePieceBpe, WritesUnknownCharactersAsBytesAndReadsThemBack) {
  const auto tokenizer = make_sentencepiece_bpe(vocabulary({}, true));
  EXPECT_THAT(pieces(*tokenizer, "a中\n"), ElementsAre("▁", "a", "<0xE4>", "<0xB8>", "<0xAD>", "<0x0A>"));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a中\n")), "a中\n");
}

TEST(SentencePieceBpe, DropsTheSpaceItAdded) {
  const auto tokenizer = make_sentencepiece_bpe(vocabulary({{"▁a", -1}, {"▁▁", -2}}, true));
  for (const std::string text : {"a", " a", "  b", "a b ", " ", ""})
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
}

TEST(SentencePieceBpe, NeverTakesTextForByteTokens) {
  const auto tokenizer = make_sentencepiece_bpe(vocabulary({{"<0x41", -1}, {">", -1}}, true));
  EXPECT_THAT(tokenizer->encode("<0x41>", plain), testing::Not(testing::Contains(3 + 0x41)));
}

TEST(SentencePieceBpe, JoinsUnknownNeighboursWhereThereAreNoBytes) {
  const auto tokenizer = make_sentencepiece_bpe(vocabulary({}));
  EXPECT_THAT(pieces(*tokenizer, "a中文b日 日"), ElementsAre("▁", "a", "<unk>", "b", "<unk>", "▁", "<unk>"));
}

TEST(SentencePieceBpe, TakesBrokenUtf8ForReplacementCharacters) {
  const auto tokenizer = make_sentencepiece_bpe(vocabulary({{"\ufffd", -1}}));
  EXPECT_THAT(pieces(*tokenizer, "a\xff\xe4\xb8!"), ElementsAre("▁", "a", "\ufffd", "\ufffd", "<unk>"));
}

TEST(SentencePieceBpe, PutsASpaceBeforeEachStretchBetweenSpecialTokens) {
  const auto tokenizer = make_sentencepiece_bpe(vocabulary({{"▁a", -1}}));
  EXPECT_THAT(pieces(*tokenizer, "a</s>a b"), ElementsAre("▁a", "</s>", "▁a", "▁", "b"));
  EXPECT_THAT(tokenizer->encode("a"), ElementsAre(1, 3));
  const auto first_only = make_sentencepiece_bpe(vocabulary({{"▁a", -1}}), {.prefix_every_segment = false});
  EXPECT_THAT(pieces(*first_only, "a</s>a"), ElementsAre("▁a", "</s>", "a"));
  Vocabulary v = vocabulary({{"▁a", -1}});
  v.add_space_prefix = false;
  EXPECT_THAT(pieces(*make_sentencepiece_bpe(std::move(v)), "a a"), ElementsAre("a", "▁a"));
}

TEST(SentencePieceBpe, MergesAcrossASpaceWhereATokenDoes) {
  const auto tokenizer = make_sentencepiece_bpe(vocabulary({{"a▁", -1}, {"a▁b", -2}, {"▁b", -3}, {"▁▁", -0.5f}}));
  EXPECT_THAT(pieces(*tokenizer, "a b"), ElementsAre("▁", "a▁b"));
  EXPECT_THAT(pieces(*tokenizer, "b b"), ElementsAre("▁b", "▁b"));
  EXPECT_THAT(pieces(*tokenizer, "a   b"), ElementsAre("▁", "a", "▁▁", "▁b"));
}

TEST(SentencePieceBpe, RefusesWhatCannotEncode) {
  const auto refused = [](auto change, const std::string& text) {
    Vocabulary v = vocabulary({{"ab", -1}}, true);
    change(v);
    EXPECT_THAT([&] { make_sentencepiece_bpe(std::move(v)); }, ThrowsMessage<Error>(HasSubstr(text)));
  };
  refused([](Vocabulary& v) { v.scores.clear(); }, "needs scores or merges");
  refused([](Vocabulary& v) { v.scores.pop_back(); }, "there are 263 scores for 264 tokens");
  refused([](Vocabulary& v) { v.scores[7] = std::nanf(""); }, "the score of token 7 is not finite");
  refused([](Vocabulary& v) { v.tokens[3] = "<0x-1>"; }, "byte token 3 is '<0x-1>'");
  refused([](Vocabulary& v) { v.tokens[3] = "<0xG0>"; }, "byte token 3 is '<0xG0>'");
  refused([](Vocabulary& v) { v.tokens[3] = "<0x000>"; }, "byte token 3 is '<0x000>'");
  refused([](Vocabulary& v) { v.unk = {}, v.tokens[0] = "x", v.kinds[0] = v.kinds[3] = TokenKind::normal; },
          "none for byte 0x00");
  refused([](Vocabulary& v) { v.merges = {"a x"}; }, "merge 0 is 'a x', but 'x' is no token");
}

TEST(Unigram, TakesTheBestTotal) {
  const auto tokenizer = make_unigram(unigram_vocabulary({{"ab", -3}, {"bc", -2}, {"abc", -15}, {"▁a", -4}}));
  EXPECT_THAT(pieces(*tokenizer, "abc"), ElementsAre("▁a", "bc"));
  EXPECT_THAT(pieces(*tokenizer, "ab ab"), ElementsAre("▁", "ab", "▁", "ab"));
  EXPECT_THAT(pieces(*make_unigram(unigram_vocabulary({{"ab", -18}})), "ab"), ElementsAre("▁", "ab"))
      << "of equals the one that was found first";
}

TEST(Unigram, UnknownCharactersCostMoreThanAnyPiece) {
  const auto tokenizer =
      make_unigram(unigram_vocabulary({{"x中", -18.5f}}));  // the lowest score; -28.5 for an unknown character
  EXPECT_THAT(pieces(*tokenizer, "x中"), ElementsAre("▁", "x中"));
  EXPECT_THAT(pieces(*tokenizer, "中x中a"), ElementsAre("▁", "<unk>", "x中", "a"));
  EXPECT_THAT(pieces(*tokenizer, "中文"), ElementsAre("▁", "<unk>"));
}

TEST(Unigram, SqueezesWhiteSpaceUnlessToldOtherwise) {
  EXPECT_THAT(pieces(*make_unigram(unigram_vocabulary({})), "  a   b  "), ElementsAre("▁", "a", "▁", "b"));
  EXPECT_THAT(pieces(*make_unigram(unigram_vocabulary({})), "   "), ElementsAre());
  Vocabulary v = unigram_vocabulary({});
  v.remove_extra_whitespaces = false;
  EXPECT_THAT(pieces(*make_unigram(std::move(v)), " a  b "), ElementsAre("▁", "▁", "a", "▁", "▁", "b", "▁"));
}

TEST(Unigram, KeepsPrecisionInLongTexts) {
  // Added up in float over 200,000 pieces of -7, the difference of 1/128 between the two ways to write the end would be lost.
  const auto tokenizer = make_unigram(unigram_vocabulary({{"q", -7}, {"xy", 1}, {"x", 1}, {"y", 0.0078125f}}));
  EXPECT_EQ(tokenizer->token_text(tokenizer->encode(std::string(200'000, 'q') + "xy", plain).back()), "y");
}

TEST(Unigram, RefusesWhatCannotEncode) {
  const auto refused = [](auto change, const std::string& text) {
    Vocabulary v = unigram_vocabulary({});
    change(v);
    EXPECT_THAT([&] { make_unigram(std::move(v)); }, ThrowsMessage<Error>(HasSubstr(text)));
  };
  refused([](Vocabulary& v) { v.scores.clear(); }, "needs scores");
  refused([](Vocabulary& v) { v.scores[4] = INFINITY; }, "the score of token 4 is not finite");
  refused([](Vocabulary& v) { v.unk = {}, v.kinds[0] = TokenKind::normal; }, "needs a token for unknown text");
  refused([](Vocabulary& v) { v.precompiled_charsmap = "\xff\xff\xff\xff"; },
          "the charsmap of 4 bytes says its trie has 4294967295");
}

TEST(Charsmap, ReplacesTheLongestMatch) {
  const Charsmap map(test::charsmap({{"a", "1"}, {"ab", "2 2"}, {"abcd", "4"}, {"ﬁ", "fi"}, {"x", ""}}));
  const auto expect = [&](std::string_view text, std::size_t size, std::string_view replacement) {
    EXPECT_EQ(map.longest(text).size, size) << text;
    EXPECT_EQ(map.longest(text).replacement, replacement) << text;
  };
  expect("a", 1, "1"), expect("aa", 1, "1"), expect("ab", 2, "2 2"), expect("abc", 2, "2 2"), expect("abcd", 4, "4");
  expect("ﬁ", 3, "fi"), expect("\xef\xac", 0, ""), expect("x", 1, ""), expect("b", 0, ""), expect("", 0, "");
}

TEST(Charsmap, RefusesDamage) {
  const auto refused = [](const std::string& blob, const std::string& text) {
    EXPECT_THAT([&] { Charsmap map(blob); }, ThrowsMessage<Error>(HasSubstr(text)));
  };
  const std::string good = test::charsmap({{"a", "b"}});
  refused(good.substr(0, 3), "says its trie has 0");
  refused(std::string(4, '\0') + good.substr(4), "says its trie has 0");
  refused(good.substr(0, 100), "says its trie has");
  refused(good.substr(0, good.size() - 1), "do not end with NUL");
  refused(test::charsmap({{"a", std::string(257, 'x')}}), "has 257 bytes, at most 256");
}

TEST(Charsmap, BoundsItsMatchesEvenInATrieThatRunsInCircles) {
  std::string blob = {'\0', '\4', '\0', '\0'};  // 256 units; that of the letter leads back to the first
  blob.resize(4 + 1024);
  const std::uint32_t unit = 'a' << 10 | 1 << 8 | 'a';
  for (int i = 0; i < 4; ++i) blob[4 + 4 * 'a' + static_cast<std::size_t>(i)] = static_cast<char>(unit >> (8 * i));
  EXPECT_EQ(Charsmap(blob + std::string("x\0", 2)).longest(std::string(10'000, 'a')).size, 256u);
}

TEST(SentencePieceModel, ReadsUnigramAndBpe) {
  ModelBuilder b = model_of_letters();
  b.trainer = varint_field(43, 2);
  b.pieces.push_back({"ab", -1});
  const auto unigram = b.tokenizer();
  EXPECT_THAT(unigram->encode("  abc 中"), ElementsAre(3, 7, 6, 3, 0)) << "without BOS";
  EXPECT_THAT(unigram->encode("a<s>"), testing::Not(testing::Contains(1))) << "control symbols are not read out of text";
  EXPECT_EQ(unigram->decode(unigram->encode("a 中")), "a  \u2047 ");
  EXPECT_EQ(unigram->vocabulary().bos, 1);
  EXPECT_EQ(unigram->vocabulary().eos, 2);
  EXPECT_EQ(unigram->vocabulary().pad, 2);
  b.type = 2;
  EXPECT_THAT(b.tokenizer()->encode("abc"), ElementsAre(3, 7, 6));
}

TEST(SentencePieceModel, FollowsTheNormalizerSpec) {
  ModelBuilder b = model_of_letters();
  b.pieces.push_back({" ", -5});
  for (const std::uint64_t type : {1u, 2u}) {
    b.type = type;
    b.normalizer = varint_field(3, 0);
    EXPECT_THAT(pieces(*b.tokenizer(), " a  b "), ElementsAre("a", "▁", "b"));
    b.normalizer = varint_field(4, 0);
    EXPECT_THAT(pieces(*b.tokenizer(), "a  b"), ElementsAre("▁", "a", "▁", "▁", "b"));
    b.normalizer = varint_field(5, 0);
    EXPECT_THAT(pieces(*b.tokenizer(), "a b"), ElementsAre(" ", "a", " ", "b"));
    b.normalizer = bytes_field(2, test::charsmap({{"A", "a"}, {"\u3000", " "}, {"bb", "c"}, {"\x01", ""}}));
    EXPECT_THAT(pieces(*b.tokenizer(), "\u3000A\u3000 bb\x01"), ElementsAre("▁", "a", "▁", "c"));
    EXPECT_THAT(pieces(*b.tokenizer(), "\x01"), ElementsAre());
  }
}

TEST(SentencePieceModel, KeepsUserDefinedSymbolsWhole) {
  ModelBuilder b = model_of_letters();
  b.normalizer = bytes_field(2, test::charsmap({{"A", "a"}}));
  for (const char* text : {"ab", "Ab", "▁▁", "cc"}) b.pieces.push_back({text, 0, TokenKind::user_defined});
  for (const std::uint64_t type : {1u, 2u}) {
    b.type = type;
    EXPECT_THAT(pieces(*b.tokenizer(), "abAbA"), ElementsAre("▁", "ab", "Ab", "a")) << "symbols are not normalised";
    EXPECT_THAT(pieces(*b.tokenizer(), "a▁▁cc"), ElementsAre("▁", "a", "▁▁", "cc"));
    EXPECT_THAT(pieces(*b.tokenizer(), "ab a"), ElementsAre("▁", "ab", "▁", "a")) << "the space behind a symbol stays";
  }
}

TEST(SentencePieceModel, TakesTokensAndSettingsFromItsFolder) {
  ModelBuilder b = model_of_letters();
  const std::string bytes = b.bytes();
  const auto first = static_cast<TokenId>(b.tokenizer()->size());
  const auto with = [&](const SpecialTokenSettings& settings) {
    return tokenizer_from_sentencepiece(std::as_bytes(std::span(bytes.data(), bytes.size())), "small.model", settings);
  };
  const auto tokenizer =
      with({.eos = "<end>", .add_bos = true, .added = {{1, "<s>", true}, {first, "<end>", true}, {first + 1, "a b", false}}});
  EXPECT_EQ(tokenizer->size(), static_cast<std::size_t>(first) + 2);
  EXPECT_EQ(tokenizer->vocabulary().eos, first);
  EXPECT_EQ(tokenizer->encode("<end>a b"), (std::vector<TokenId>{1, first, first + 1}));
  EXPECT_EQ(tokenizer->kind(first), TokenKind::control);
  EXPECT_THAT([&] { with({.added = {{first + 1, "<end>", true}}}); },
              ThrowsMessage<Error>(HasSubstr("the added token '<end>' has id")));
  EXPECT_THAT([&] { with({.bos = "<begin>"}); },
              ThrowsMessage<Error>("small.model: bos_token is '<begin>', which is no token"));
}

TEST(SentencePieceModel, NeverGivesUnusedPieces) {
  ModelBuilder b = model_of_letters();
  b.pieces.push_back({"ab", -1, TokenKind::unused}), b.pieces.push_back({"abc", -2});
  b.pieces.push_back({"d", -1, TokenKind::unused});
  for (const std::uint64_t type : {1u, 2u}) {
    b.type = type;
    EXPECT_THAT(pieces(*b.tokenizer(), "ab abc d"), ElementsAre("▁", "a", "b", "▁", "abc", "▁", "<unk>"));
  }
}

TEST(SentencePieceModel, RefusesDamageAndNamesIt) {
  const auto refused = [](auto change, const std::string& text) {
    ModelBuilder b = model_of_letters();
    change(b);
    EXPECT_THAT([&] { b.tokenizer(); }, ThrowsMessage<Error>(HasSubstr("small.model" + text)));
  };
  refused([](ModelBuilder& b) { b.type = 3; }, ": the model type is 3 (word), supported are");
  refused([](ModelBuilder& b) { b.type = 4; }, ": the model type is 4 (char)");
  refused([](ModelBuilder& b) { b.pieces.clear(); }, ": no piece is for unknown text");
  refused([](ModelBuilder& b) { b.pieces[1].kind = TokenKind::unknown; }, ": pieces 0 and 1 are both for unknown text");
  refused([](ModelBuilder& b) { b.pieces[5].text = "a"; }, ": pieces 4 and 5 have the same text");
  refused([](ModelBuilder& b) { b.pieces[5].text = ""; }, ": piece 5: the text is empty");
  refused([](ModelBuilder& b) { b.pieces[5].kind = static_cast<TokenKind>(9); }, ": piece 5: the type is 9");
  refused([](ModelBuilder& b) { b.pieces[5].score = std::nanf(""); }, ": tokenizer: the score of token 5 is not finite");
  refused([](ModelBuilder& b) { b.trainer = varint_field(35, 1); }, ": byte_fallback is set, but byte 0x00 has no piece");
  refused([](ModelBuilder& b) { b.trainer = varint_field(24, 1); }, ": trainer_spec: treat_whitespace_as_suffix");
  refused([](ModelBuilder& b) { b.trainer = varint_field(41, 7); }, ": tokenizer: the BOS id is 7, the vocabulary has 7");
  refused([](ModelBuilder& b) { b.more = bytes_field(5, bytes_field(2, "x")); },
          ": denormalizer_spec: a charsmap for decoding");
  refused([](ModelBuilder& b) { b.more = std::string(11, '\xff'); }, ": at byte");
  refused([](ModelBuilder& b) { b.more = test::varint(1 << 3 | 2) + test::varint(1ull << 62); },
          ": at byte 103: field needs 4611686018427387904");
  refused([](ModelBuilder& b) { b.more = test::varint(1 << 3 | 3); }, ": at byte");
  refused([](ModelBuilder& b) { b.more = test::varint(0); }, ": at byte");
  refused([](ModelBuilder& b) { b.normalizer = "\x12\x7f"; }, ": normalizer_spec: at byte 2: field needs 127 bytes");
}

// Reads a damaged model and uses it; false where it was refused.
bool survives(const std::string& bytes) {
  try {
    ModelBuilder::read_model(bytes)->encode("abc A  ab", plain);
    return true;
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::bad_model) << e.what();
    return false;
  }
}

TEST(SentencePieceModel, SurvivesEveryTruncationAndEveryDamagedByte) {
  ModelBuilder b = model_of_letters();
  b.normalizer = bytes_field(2, test::charsmap({{"A", "a"}}));
  b.pieces.push_back({"ab", 0, TokenKind::user_defined});
  const std::string bytes = b.bytes();
  int read = 0, refused = 0;
  for (std::size_t size = 0; size < bytes.size(); ++size) read += survives(bytes.substr(0, size));
  EXPECT_GT(read, 0) << "cut between two fields";
  EXPECT_LT(read, 12);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const int flip : {1, 0x40, 0x80, 0xff}) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      refused += !survives(damaged);
    }
  }
  EXPECT_GT(refused, 100);
}

TEST(SentencePiece, TakesTimeInStepWithTheText) {
  ModelBuilder b;
  for (const auto& [text, score] :
       Scored{{"▁", -2}, {"a", -3}, {"aa", -4}, {"aaaa", -5}, {"▁▁", -4}, {"▁▁▁▁", -5}, {"中", -6}, {"b", -4}}) {
    b.pieces.push_back({text, score});
  }
  b.normalizer = varint_field(4, 0);
  for (const std::uint64_t type : {1u, 2u}) {
    b.type = type;
    const auto tokenizer = b.tokenizer();
    for (const char* part : {"a", " ", "ab ", "中", "\u0301", "😀"}) {
      EXPECT_LT(test::growth(part, [&](const std::string& text) { tokenizer->encode(text, plain); }), 2.5) << type << part;
    }
  }
}

class PublishedSentencePiece : public testing::TestWithParam<std::string> {};

TEST_P(PublishedSentencePiece, GivesThePublishedIds) {
  const bool json = GetParam().substr(0, 3) != "spm";
  const std::string bytes = test::published_bytes("tokenizers/" + GetParam() + (json ? "/tokenizer.json.gz" : "/spiece.model"));
  if (bytes.empty()) GTEST_SKIP() << "no ../shared/oracle/tok beside this checkout";
  test::expect_published(json ? *tokenizer_from_json(bytes, GetParam()) : *ModelBuilder::read_model(bytes), GetParam());
}

INSTANTIATE_TEST_SUITE_P(All, PublishedSentencePiece, testing::Values("llama2", "gemma3", "spm_unigram_en", "spm_unigram_ja"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace bitnet
