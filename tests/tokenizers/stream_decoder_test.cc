// Streaming never splits a character and joins to what decode() gives.
#include <gmock/gmock.h>

#include <random>

#include "common/utf8.h"
#include "small_vocabulary.h"

namespace bitnet {
namespace {

const Tokenizer& bytes() {
  static const auto tokenizer = make_tokenizer(test::byte_vocabulary({}));
  return *tokenizer;
}

TEST(StreamDecoder, GivesEveryScalarWhole) {
  StreamDecoder decoder(bytes());
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xd800 && code < 0xe000) continue;
    std::string text;
    utf8_append(text, code);
    for (std::size_t i = 0; i < text.size(); ++i) {
      const std::string out = decoder.put(static_cast<unsigned char>(text[i]));
      ASSERT_EQ(out, i + 1 == text.size() ? text : "") << static_cast<std::uint32_t>(code);
    }
  }
  EXPECT_EQ(decoder.finish(), "");
}

TEST(StreamDecoder, ShowsBrokenBytesAsReplacements) {
  StreamDecoder decoder(bytes());
  EXPECT_EQ(decoder.put(0xe2), "");
  EXPECT_EQ(decoder.put(0x82), "");
  EXPECT_EQ(decoder.put('a'),
            "\xef\xbf\xbd"
            "a");
  EXPECT_EQ(decoder.put(0xff), "\xef\xbf\xbd");
  EXPECT_EQ(decoder.put(0xf0), "");
  EXPECT_EQ(decoder.put(0x9f), "");
  EXPECT_EQ(decoder.finish(), "\xef\xbf\xbd") << "one for the unfinished character";
}

TEST(StreamDecoder, JoinsToDecode) {
  const std::uint32_t seed = 5;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 500; ++round) {
    std::vector<TokenId> ids(random() % 40);
    for (TokenId& id : ids) id = static_cast<TokenId>(random() % bytes().size());
    StreamDecoder decoder(bytes());
    std::string joined;
    for (const TokenId id : ids) {
      const std::string piece = decoder.put(id);
      EXPECT_TRUE(utf8_valid(piece));
      joined += piece;
    }
    EXPECT_EQ(joined + decoder.finish(), bytes().decode(ids));
  }
}

}  // namespace
}  // namespace bitnet
