// Pages of keys and values: who holds which, who may write, and that all of them come back.
#include "inference/kv_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "common/error.h"
#include "inference/prefix_cache.h"

namespace bitnet {
namespace {

constexpr KvShape small_shape{KvType::f32, 1, 1, 16};

// Stands for the keys and values of a position: its first key element.
float& mark(KvCache& cache, std::int64_t position) {
  return reinterpret_cast<float*>(cache.chunk(0, 0, position / 64).keys)[position % 64];
}

void fill(KvCache& cache, std::int64_t positions, float value) {
  const std::int64_t start = cache.length();
  cache.reserve(start + positions);
  for (std::int64_t i = 0; i < positions; ++i) mark(cache, start + i) = value + static_cast<float>(start + i);
  cache.set_length(start + positions);
}

TEST(KvShape, CountsBytes) {
  const KvShape f16{KvType::f16, 30, 5, 128}, int8{KvType::int8, 30, 5, 128};
  EXPECT_EQ(f16.bytes_per_position(), 76800u);
  EXPECT_EQ(f16.page_bytes(), 64 * 76800);
  EXPECT_EQ(int8.bytes_per_position(), 30u * 5 * (2 * 128 + 2 * 4));
}

TEST(KvPages, GivesOutAtMostWhatItMayAndTakesBack) {
  KvPages pages(small_shape, 2);
  KvPage a = pages.take(), b = pages.take();
  EXPECT_EQ(pages.free(), 0);
  EXPECT_THAT([&] { pages.take(); }, testing::ThrowsMessage<Error>("all 2 pages of the KV cache are in use"));
  const Buffer* memory = a.get();
  KvPage same = a;
  a.reset();
  EXPECT_EQ(pages.used(), 2);
  same.reset();
  EXPECT_EQ(pages.used(), 1);
  EXPECT_EQ(pages.take().get(), memory);
}

TEST(KvCache, AForkSeesWhatItSharesAndWritesToItsOwn) {
  KvPages pages(small_shape);
  KvCache first(pages, 1000), second(pages, 1000);
  fill(first, 100, 1000);
  second.share(first.pages(), 90);
  EXPECT_EQ(pages.used(), 2);
  EXPECT_EQ(second.pages_missing(91), 1);
  fill(second, 40, 2000);  // 90 .. 130: a copy of the second page, and a third
  EXPECT_EQ(pages.used(), 4);
  EXPECT_EQ(mark(first, 95), 1095);
  EXPECT_EQ(mark(second, 95), 2095);
  EXPECT_EQ(mark(second, 89), 1089);
  EXPECT_EQ(first.pages_missing(101), 0);
  fill(first, 10, 3000);
  EXPECT_EQ(mark(first, 100), 3100);
  EXPECT_EQ(mark(second, 100), 2100);
}

TEST(KvCache, NeverWritesToSharedPagesBehindItsLength) {
  KvPages pages(small_shape);
  KvCache writer(pages, 1000), reader(pages, 1000);
  fill(writer, 192, 1000);
  reader.share(writer.pages(), 192);
  writer.set_length(64);  // exactly one page is left; the two behind it belong to the reader, too
  EXPECT_EQ(writer.pages_missing(192), 2);
  fill(writer, 128, 5000);
  EXPECT_EQ(mark(reader, 64), 1064);
  EXPECT_EQ(mark(reader, 191), 1191);
  EXPECT_EQ(mark(writer, 64), 5064);
  EXPECT_EQ(pages.used(), 5);
}

TEST(KvCache, ReserveThatFailsLeavesWhatIsFilled) {
  KvPages pages(small_shape, 3);
  KvCache cache(pages, 256), other(pages, 256);
  fill(cache, 70, 1);
  other.share(cache.pages(), 70);
  EXPECT_THROW(cache.reserve(200), Error);
  EXPECT_EQ(cache.length(), 70);
  EXPECT_EQ(mark(cache, 69), 70);
  EXPECT_THAT([&] { cache.reserve(257); }, testing::ThrowsMessage<Error>("the context holds 256 tokens, 257 are needed"));
  cache.trim();
  EXPECT_EQ(cache.pages().size(), 2u);
}

std::vector<TokenId> some_ids(std::mt19937& random, std::size_t n, int vocabulary) {
  std::vector<TokenId> ids(n);
  for (TokenId& id : ids) id = static_cast<TokenId>(random() % static_cast<unsigned>(vocabulary));
  return ids;
}

TEST(PrefixCache, FindsTheLongestKnownBeginningOfWholePages) {
  KvPages pages(small_shape);
  PrefixCache known;
  std::mt19937 random(3);
  const std::vector<TokenId> ids = some_ids(random, 200, 1000);
  const std::vector<KvPage> held = {pages.take(), pages.take(), pages.take(), pages.take()};
  known.insert("", ids, held);
  EXPECT_EQ(known.pages(), 3);
  EXPECT_THAT(known.find("", ids), testing::ElementsAre(held[0], held[1], held[2]));
  std::vector<TokenId> other = ids;
  other[130] += 1;
  EXPECT_THAT(known.find("", other), testing::ElementsAre(held[0], held[1]));
  EXPECT_THAT(known.find("", std::span(ids).first(127)), testing::ElementsAre(held[0]));
  EXPECT_TRUE(known.find("", std::span(ids).first(63)).empty());
  EXPECT_TRUE(known.find("somebody else", ids).empty());
  other[0] += 1;
  EXPECT_TRUE(known.find("", other).empty());
}

TEST(PrefixCache, ForgetsWhatWasUsedLongestAgoAndNobodyHolds) {
  KvPages pages(small_shape);
  PrefixCache known;
  std::mt19937 random(4);
  const std::vector<TokenId> a = some_ids(random, 128, 1000), b = some_ids(random, 64, 1000);
  known.insert("", a, std::vector<KvPage>{pages.take(), pages.take()});
  known.insert("", b, std::vector<KvPage>{pages.take()});
  EXPECT_EQ(pages.used(), 3);
  known.find("", a);
  EXPECT_TRUE(known.evict());  // b
  EXPECT_TRUE(known.find("", b).empty());
  const std::vector<KvPage> held = known.find("", a);
  EXPECT_FALSE(known.evict());
  EXPECT_EQ(known.find("", a).size(), 2u);
}

// Sequences come, share, diverge, shorten and go in random order: no page is ever lost, and none written under another's eyes.
TEST(PrefixCache, RandomUseLosesNoPageAndSpoilsNone) {
  const std::uint32_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  KvPages pages(small_shape, 40);
  PrefixCache known;
  struct Sequence {
    KvCache cache;
    std::vector<TokenId> ids;
  };
  std::vector<std::unique_ptr<Sequence>> running;
  // What a position holds is a function of the tokens up to it, as in a model.
  const auto expected = [](std::span<const TokenId> ids) {
    std::uint32_t hash = 7;
    for (const TokenId id : ids) hash = hash * 31 + static_cast<std::uint32_t>(id) + 1;
    return static_cast<float>(hash >> 8);
  };
  const auto extend = [&](Sequence& s, std::span<const TokenId> ids) {
    const auto wanted = static_cast<std::int64_t>(s.ids.size() + ids.size());
    while (s.cache.pages_missing(wanted) > pages.free()) {
      if (!known.evict()) return false;
    }
    s.cache.reserve(wanted);
    for (const TokenId id : ids) {
      s.ids.push_back(id);
      mark(s.cache, static_cast<std::int64_t>(s.ids.size()) - 1) = expected(s.ids);
    }
    s.cache.set_length(wanted);
    return true;
  };
  for (int round = 0; round < 2000; ++round) {
    const auto which = running.empty() ? 0 : random() % running.size();
    switch (random() % 4) {
      case 0: {  // a new one, of a few possible tokens so that beginnings repeat
        if (running.size() >= 6) break;
        auto made = std::make_unique<Sequence>(Sequence{KvCache(pages, 512), {}});
        const std::vector<TokenId> shared(256, static_cast<TokenId>(random() % 2));
        std::vector<TokenId> ids(shared.begin(), shared.begin() + 1 + random() % 256);
        const std::vector<KvPage> found = known.find("", std::span(ids).first(ids.size() - 1));
        made->cache.share(found, static_cast<std::int64_t>(found.size()) * 64);
        made->ids.assign(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(found.size() * 64));
        if (extend(*made, std::span(ids).subspan(made->ids.size()))) running.push_back(std::move(made));
        break;
      }
      case 1:
        if (!running.empty() && running[which]->ids.size() < 480)
          extend(*running[which], some_ids(random, 1 + random() % 30, 2));
        break;
      case 2:
        if (running.empty()) break;
        running[which]->ids.resize(running[which]->ids.size() - random() % running[which]->ids.size());
        running[which]->cache.set_length(static_cast<std::int64_t>(running[which]->ids.size()));
        break;
      default:
        if (running.empty()) break;
        running[which]->cache.trim();
        known.insert("", running[which]->ids, running[which]->cache.pages());
        running.erase(running.begin() + static_cast<std::ptrdiff_t>(which));
    }
    for (const auto& s : running) {
      for (std::size_t i = 0; i < s->ids.size(); i += 37)
        ASSERT_EQ(mark(s->cache, static_cast<std::int64_t>(i)), expected(std::span(s->ids).first(i + 1))) << "round " << round;
    }
  }
  running.clear();
  EXPECT_EQ(pages.used(), known.pages());
  while (known.evict()) {
  }
  EXPECT_EQ(known.pages(), 0);
  EXPECT_EQ(pages.used(), 0);
}

}  // namespace
}  // namespace bitnet
