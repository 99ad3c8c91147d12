// SentencePiece BPE and unigram, from vocabularies and from .model bytes, whole and damaged.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <limits>

#include "common/error.h"
#include "tokenizers/charsmap.h"
#include "tokenizers/sentencepiece_bpe.h"
#include "tokenizers/unigram.h"

namespace bitnet {
namespace {

using testing::ElementsAre;

const std::string mark(space_mark);
constexpr EncodeOptions plain{.add_special = false};

// <unk> <s> </s>, 256 bytes from id 3 on, then pieces with their scores.
Vocabulary vocabulary(const std::vector<std::pair<std::string, float>>& pieces) {
  Vocabulary v;
  v.model = "llama";
  const auto add = [&](const std::string& text, float score, TokenKind kind) {
    v.tokens.push_back(text), v.scores.push_back(score), v.kinds.push_back(kind);
  };
  add("<unk>", 0, TokenKind::unknown), add("<s>", 0, TokenKind::control), add("</s>", 0, TokenKind::control);
  for (int byte = 0; byte < 256; ++byte) add(fmt::format("<0x{:02X}>", byte), 0, TokenKind::byte);
  for (const auto& [text, score] : pieces) add(text, score, TokenKind::normal);
  v.unk = 0, v.bos = 1, v.eos = 2;
  return v;
}

const std::vector<std::pair<std::string, float>> pieces = {{mark, -5}, {"a", -6},        {"b", -7},
                                                           {"ab", -2}, {mark + "a", -1}, {"ba", -3}};  // ids 259 to 264

TEST(SentencePieceBpe, MergesTheBestScoreFirst) {
  const auto tokenizer = make_tokenizer(vocabulary(pieces));
  EXPECT_THAT(tokenizer->encode("ab", plain), ElementsAre(263, 261)) << "the space joins a before ab can form";
  EXPECT_THAT(tokenizer->encode("bab", plain), ElementsAre(259, 261, 262));
  EXPECT_THAT(tokenizer->encode("ab"), ElementsAre(1, 263, 261)) << "BOS by default";
}

TEST(SentencePieceBpe, WritesUnknownCharactersAsBytes) {
  const auto tokenizer = make_tokenizer(vocabulary(pieces));
  EXPECT_THAT(tokenizer->encode("a\xc3\xa9", plain), ElementsAre(263, 3 + 0xc3, 3 + 0xa9));
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{263, 3 + 0xc3, 3 + 0xa9}), "a\xc3\xa9");
  EXPECT_THAT(tokenizer->encode("a<s>b", plain), ElementsAre(263, 1, 259, 261));
  EXPECT_THAT(tokenizer->encode("<0x41>", plain), testing::Not(testing::Contains(3 + 0x41)))
      << "byte tokens are not written in text";
}

TEST(SentencePieceBpe, DropsTheSpaceItAdded) {
  const auto tokenizer = make_tokenizer(vocabulary(pieces));
  for (const std::string text : {"a", " a", "a b", "  b", "ab ba"}) EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
}

TEST(SentencePieceBpe, JoinsUnknownsWhereThereAreNoBytes) {
  Vocabulary v;
  v.model = "llama", v.tokens = {"<unk>", mark, "a"}, v.scores = {0, -1, -2}, v.unk = 0;
  v.kinds = {TokenKind::unknown, TokenKind::normal, TokenKind::normal};
  EXPECT_THAT(make_tokenizer(std::move(v))->encode("axya"), ElementsAre(1, 2, 0, 2));
}

TEST(SentencePieceBpe, AddsNoSpaceWhenTheVocabularySaysSo) {
  Vocabulary v = vocabulary(pieces);
  v.add_space_prefix = false;
  const auto tokenizer = make_tokenizer(std::move(v));
  EXPECT_THAT(tokenizer->encode("ab", plain), ElementsAre(262));
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{263}), " a") << "no space was added, none is dropped";
}

TEST(SentencePieceBpe, NamesWhatIsWrong) {
  Vocabulary v = vocabulary(pieces);
  v.tokens[10] = "<0x-1>";
  EXPECT_THAT([&] { make_tokenizer(std::move(v)); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("byte token 10 is '<0x-1>'")));
  Vocabulary w = vocabulary(pieces);
  w.scores.clear();
  EXPECT_THAT([&] { make_tokenizer(std::move(w)); }, testing::ThrowsMessage<Error>(testing::HasSubstr("scores or merges")));
}

TEST(SentencePieceBpe, RefusesScoresThatAreNotFinite) {
  Vocabulary v = vocabulary(pieces);
  v.scores[262] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT([&] { make_tokenizer(v); }, testing::ThrowsMessage<Error>(testing::HasSubstr("262")))
      << "not a number has no place in the order of merges";
}

Vocabulary unigram() {
  Vocabulary v;
  v.model = "unigram";
  v.tokens = {"<unk>", mark, "a", "b", "ab", mark + "ab", "abc", "c"};
  v.scores = {0, -3, -4, -4, -5, -6, -20, -4};
  v.kinds.assign(v.tokens.size(), TokenKind::normal);
  v.kinds[0] = TokenKind::unknown, v.unk = 0;
  return v;
}

TEST(Unigram, TakesTheBestTotal) {
  const auto tokenizer = make_unigram(unigram());
  EXPECT_THAT(tokenizer->encode("ab"), ElementsAre(5)) << "-6 beats -3 - 5";
  EXPECT_THAT(tokenizer->encode("abc"), ElementsAre(5, 7)) << "-10 beats -3 - 20";
  EXPECT_THAT(tokenizer->encode("a  b"), ElementsAre(1, 2, 1, 3)) << "runs of spaces are one";
}

TEST(Unigram, JoinsNeighbouringUnknowns) {
  const auto tokenizer = make_unigram(unigram());
  EXPECT_THAT(tokenizer->encode("axyb"), ElementsAre(1, 2, 0, 3));
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{1, 2, 0, 3}), "a \xe2\x81\x87 b");
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{1, 1, 2}), "a") << "leading spaces go until there is text";
}

// A trie whose node for 'a' is its own child: every run of that letter is a path, none of them a match.
std::string circular_charsmap() {
  constexpr std::uint32_t base = 256;
  std::vector<std::uint32_t> units(512);
  units[0] = base << 10;
  units[base ^ 'a'] = 'a' | std::uint32_t{'a'} << 10;
  const auto bytes_of = [](std::uint32_t value) {
    std::string out;
    for (int i = 0; i < 4; ++i) out += static_cast<char>(value >> 8 * i & 0xff);
    return out;
  };
  std::string blob = bytes_of(static_cast<std::uint32_t>(units.size() * 4));
  for (const std::uint32_t unit : units) blob += bytes_of(unit);
  return blob + '\0';
}

TEST(Charsmap, TakesBoundedTimePerByteWhenTheTrieIsCircular) {
  const Charsmap charsmap(circular_charsmap());
  const auto seconds = [&](std::size_t size) {
    const std::string text(size, 'a');
    double best = 1e9;
    for (int round = 0; round < 3; ++round) {
      const std::clock_t start = std::clock();
      std::size_t matched = 0;
      for (std::size_t i = 0; i < size; ++i) matched += charsmap.longest(std::string_view(text).substr(i)).size;
      best = std::min(best, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
      EXPECT_EQ(matched, 0u);
    }
    return best;
  };
  EXPECT_LT(seconds(12000) / seconds(3000), 9.0) << "four times the text; quadratic time would be 16 times";
}

// Just enough protobuf to write a model file.
std::string field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}
std::string varint(int number, int value) {
  std::string out{static_cast<char>((number << 3 & 0x7f) | (number >= 16 ? 0x80 : 0))};
  if (number >= 16) out += static_cast<char>(number >> 4);
  return out + static_cast<char>(value);
}
std::string piece(const std::string& text, float score, int type) {
  std::string bits(4, '\0');
  std::memcpy(bits.data(), &score, 4);
  return field(1, field(1, text) + std::string{static_cast<char>(2 << 3 | 5)} + bits + varint(3, type));
}
std::string model_bytes(int type) {
  std::string out = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) + piece(mark, -3, 1) + piece("a", -4, 1) +
                    piece(mark + "a", -1, 1) + piece("X", 0, 4);
  return out + field(2, varint(3, type) + varint(40, 0) + varint(41, 1) + varint(42, 2)) +
         field(3, varint(3, 1) + varint(4, 1));
}
std::unique_ptr<const Tokenizer> read(const std::string& bytes) {
  return tokenizer_from_sentencepiece(std::as_bytes(std::span(bytes.data(), bytes.size())), "m.model");
}

TEST(SentencePieceModel, ReadsBothKinds) {
  for (const int type : {1, 2}) {
    const auto tokenizer = read(model_bytes(type));
    EXPECT_EQ(tokenizer->size(), 7u);
    EXPECT_THAT(tokenizer->encode("a a"), ElementsAre(5, 5)) << type;
    EXPECT_THAT(tokenizer->encode("aX"), ElementsAre(5, 6)) << "user-defined pieces are cut out";
    EXPECT_THAT(tokenizer->encode("<s>"), testing::Not(testing::Contains(1)))
        << "the library never reads control symbols out of text";
  }
  EXPECT_THAT([] { read(model_bytes(3)); }, testing::ThrowsMessage<Error>(testing::HasSubstr("the model type is 3")));
}

TEST(SentencePieceModel, SurvivesTruncationAndDamage) {
  int refused = 0;
  const auto try_read = [&](const std::string& damaged) {
    try {
      read(damaged)->encode("a aX");
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::bad_model);
      ++refused;
    }
  };
  for (const int type : {1, 2}) {
    const std::string bytes = model_bytes(type);
    for (std::size_t size = 0; size < bytes.size(); ++size) try_read(bytes.substr(0, size));
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      for (const int flip : {1, 0x80, 0xff}) {
        std::string damaged = bytes;
        damaged[at] = static_cast<char>(damaged[at] ^ flip);
        try_read(damaged);
      }
    }
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace bitnet
