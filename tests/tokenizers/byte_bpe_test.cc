// Byte-level BPE: merge order, special tokens, every byte, long words, and vocabularies that lie.
#include <gmock/gmock.h>

#include <ctime>
#include <map>
#include <random>

#include "common/error.h"
#include "small_vocabulary.h"

namespace bitnet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<std::string> merges = {"l o", "lo w", "e r", "a a", "aa aa"};  // ids 256 to 260, specials from 261

std::vector<TokenId> encode(const std::string& text, EncodeOptions options = {.add_special = false}) {
  return make_tokenizer(test::byte_vocabulary(merges))->encode(text, options);
}

TEST(ByteBpe, MergesByRankFromTheLeft) {
  EXPECT_THAT(encode("lower"), ElementsAre(257, 258));
  EXPECT_THAT(encode("aaa"), ElementsAre(259, 'a'));
  EXPECT_THAT(encode("aaaaa"), ElementsAre(260, 'a'));
  EXPECT_THAT(encode("lo wer"), ElementsAre(256, ' ', 'w', 258));
}

TEST(ByteBpe, TakesSpecialTokensLongestFirst) {
  EXPECT_THAT(encode("a<end><end>b"), ElementsAre('a', 263, 'b'));
  EXPECT_THAT(encode("<end><begin>"), ElementsAre(262, 261));
  EXPECT_THAT(encode("<end", {.add_special = false}), testing::SizeIs(4));
}

TEST(ByteBpe, LeavesControlTokensAsTextWhenAsked) {
  const EncodeOptions plain{.add_special = false, .parse_special = false};
  EXPECT_THAT(encode("<end>", plain), testing::SizeIs(5));
  EXPECT_THAT(encode("<tool>", plain), ElementsAre(264));
}

TEST(ByteBpe, AddsBosWhenTheVocabularySays) {
  Vocabulary v = test::byte_vocabulary(merges);
  v.add_bos = true;
  const auto tokenizer = make_tokenizer(std::move(v));
  EXPECT_THAT(tokenizer->encode("a"), ElementsAre(261, 'a'));
  EXPECT_THAT(tokenizer->encode(""), ElementsAre(261));
  EXPECT_THAT(tokenizer->encode("a", {.add_special = false}), ElementsAre('a'));
}

TEST(ByteBpe, RoundTripsEveryByte) {
  const auto tokenizer = make_tokenizer(test::byte_vocabulary(merges));
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    const auto ids = tokenizer->encode(text, {.add_special = false});
    ASSERT_THAT(ids, ElementsAre(byte));
    EXPECT_EQ(tokenizer->piece(ids[0]), text);
  }
}

TEST(ByteBpe, RoundTripsTextAndReplacesBrokenBytes) {
  const auto tokenizer = make_tokenizer(test::byte_vocabulary(merges));
  const std::string text = "lower aaaa\t\n\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80";
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a\xff\xe4\xb8(")), "a\xef\xbf\xbd\xef\xbf\xbd(");
}

TEST(ByteBpe, ShowsControlTokensOnlyWhenAsked) {
  const auto tokenizer = make_tokenizer(test::byte_vocabulary(merges));
  const std::vector<TokenId> ids = {'a', 262, 264};
  EXPECT_EQ(tokenizer->decode(ids), "a<tool>");
  EXPECT_EQ(tokenizer->decode(ids, true), "a<end><tool>");
}

TEST(ByteBpe, LlamaThreeTakesWholeWords) {
  Vocabulary v = test::byte_vocabulary({"a b", "c d"});
  v.tokens.emplace_back("abcd"), v.kinds.push_back(TokenKind::normal);
  const auto id = static_cast<TokenId>(v.tokens.size() - 1);
  Vocabulary gpt2 = v;
  v.pre = "llama-bpe";
  EXPECT_THAT(make_tokenizer(std::move(v))->encode("abcd", {.add_special = false}), ElementsAre(id));
  EXPECT_THAT(make_tokenizer(std::move(gpt2))->encode("abcd", {.add_special = false}), ElementsAre(256, 257));
}

// Merging as it is defined: of all neighbours the best pair, leftmost first, again and again.
std::vector<std::string> merged_naively(std::vector<std::string> parts, const std::map<std::string, int>& ranks) {
  while (true) {
    int best = -1, best_rank = 1 << 30;
    for (int i = 0; i + 1 < static_cast<int>(parts.size()); ++i) {
      const auto rank = ranks.find(parts[static_cast<std::size_t>(i)] + " " + parts[static_cast<std::size_t>(i) + 1]);
      if (rank != ranks.end() && rank->second < best_rank) best = i, best_rank = rank->second;
    }
    if (best < 0) return parts;
    parts[static_cast<std::size_t>(best)] += parts[static_cast<std::size_t>(best) + 1];
    parts.erase(parts.begin() + best + 1);
  }
}

TEST(ByteBpe, LongWordsMergeAsShortOnesDo) {
  const std::uint32_t seed = 99;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  std::vector<std::string> pieces = {"a", "b", "c"}, table;
  std::map<std::string, int> ranks;
  while (table.size() < 60) {
    const std::string left = pieces[random() % pieces.size()], right = pieces[random() % pieces.size()],
                      merge = left + " " + right;
    if (left.size() + right.size() > 6 || ranks.count(merge) != 0 ||
        std::find(pieces.begin(), pieces.end(), left + right) != pieces.end())
      continue;
    ranks[merge] = static_cast<int>(table.size());
    table.push_back(merge), pieces.push_back(left + right);
  }
  const auto tokenizer = make_tokenizer(test::byte_vocabulary(table));
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> letters;
    std::string word;
    for (std::size_t i = 0, n = 1 + random() % 120; i < n; ++i)
      word += letters.emplace_back(1, static_cast<char>('a' + random() % 3));
    std::vector<std::string> found;
    for (const TokenId id : tokenizer->encode(word, {.add_special = false})) found.emplace_back(tokenizer->token_text(id));
    ASSERT_EQ(found, merged_naively(letters, ranks)) << word;
  }
}

TEST(ByteBpe, TakesTimeInProportionToTheText) {
  const auto tokenizer = make_tokenizer(test::byte_vocabulary(merges));
  const auto cost = [&](std::size_t size) {  // in processor time, so that other programs do not count
    double best = 1e9;
    for (int round = 0; round < 3; ++round) {
      const std::clock_t start = std::clock();
      tokenizer->encode(std::string(size, 'a'));
      best = std::min(best, static_cast<double>(std::clock() - start));
    }
    return best;
  };
  EXPECT_LT(cost(800000) / cost(200000), 9.0) << "four times the text; quadratic time would be 16 times";
}

TEST(ByteBpe, NamesWhatIsWrongWithAVocabulary) {
  const auto refused = [](auto change, const std::string& text) {
    Vocabulary v = test::byte_vocabulary(merges);
    change(v);
    EXPECT_THAT([&] { make_tokenizer(std::move(v)); }, testing::ThrowsMessage<Error>(HasSubstr(text)));
  };
  refused([](Vocabulary& v) { v.merges[1] = "low"; }, "merge 1 is 'low', it must be two tokens with a space between");
  refused([](Vocabulary& v) { v.merges[1] = "lo "; }, "merge 1");
  refused([](Vocabulary& v) { v.merges[0] = "l zz"; }, "'zz' is no token");
  refused([](Vocabulary& v) { v.merges[0] = "a b"; }, "'ab' is no token");
  refused([](Vocabulary& v) { v.pre = "unheard-of"; }, "tokenizer.ggml.pre is 'unheard-of'");
  refused([](Vocabulary& v) { v.model = "unheard-of"; }, "tokenizer.ggml.model is 'unheard-of'");
  refused([](Vocabulary& v) { v.kinds.pop_back(); }, "token types for");
  refused([](Vocabulary& v) { v.scores = {1.0f}; }, "1 scores for");
  refused([](Vocabulary& v) { v.eos = 5000; }, "the EOS id is 5000");
  refused([](Vocabulary& v) { v.bos = -1; }, "the BOS id is -1");
  refused([](Vocabulary& v) { v.tokens.clear(), v.kinds.clear(), v.merges.clear(), v.bos = v.eos = std::nullopt; },
          "has no tokens");
}

}  // namespace
}  // namespace bitnet
