// Streaming never splits a character and joins to what all bytes at once show.
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

// What a reader of all bytes at once shows.
std::string repaired(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8Char c = utf8_decode(text);
    utf8_append(out, c.code);
    text.remove_prefix(c.size);
  }
  return out;
}

TEST(StreamDecoder, JoinsToWhatAllBytesAtOnceShow) {
  const std::uint32_t seed = 5;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  constexpr unsigned char lead_and_trail[] = {0xf0, 0x9f, 0x98, 0x80, 0xe2, 0x82, 0xac, 0xc3, 0xa9, 0xed, 0xa0, 'a'};
  for (int round = 0; round < 2000; ++round) {
    std::vector<TokenId> ids(random() % 40);
    for (TokenId& id : ids) id = round % 2 == 0 ? static_cast<TokenId>(random() % 256) : lead_and_trail[random() % 12];
    std::string raw;
    for (const TokenId id : ids) raw += static_cast<char>(id);
    StreamDecoder decoder(bytes());
    std::string joined;
    for (const TokenId id : ids) {
      const std::string piece = decoder.put(id);
      EXPECT_TRUE(utf8_valid(piece));
      joined += piece;
    }
    EXPECT_EQ(joined + decoder.finish(), repaired(raw));
    EXPECT_EQ(bytes().decode(ids), repaired(raw));
  }
}

}  // namespace
}  // namespace bitnet
