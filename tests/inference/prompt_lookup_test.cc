// PromptLookup: drafts are what followed the latest earlier place of the text's end, however the text grew and shrank.
#include "inference/prompt_lookup.h"

#include <gmock/gmock.h>

#include <random>

namespace bitnet {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// By comparing with every earlier place.
Draft found_by_hand(const std::vector<TokenId>& ids, std::size_t most) {
  const auto agreement = [&](std::size_t end) {
    std::size_t n = 0;
    while (n < 16 && n < end && ids[end - n - 1] == ids[ids.size() - n - 1]) ++n;
    return n;
  };
  for (std::size_t length = 4; length >= 2; --length) {
    for (std::size_t end = ids.size(); end-- > length;) {
      if (agreement(end) < length) continue;
      Draft draft{{}, agreement(end)};
      std::vector<TokenId> text = ids;
      for (std::size_t i = 0; i < most; ++i) text.push_back(text[end + i]);
      draft.ids.assign(text.begin() + static_cast<std::ptrdiff_t>(ids.size()), text.end());
      return draft;
    }
  }
  return {};
}

void expect_found_by_hand(const PromptLookup& lookup, const std::vector<TokenId>& ids) {
  const Draft draft = lookup.draft(5), expected = found_by_hand(ids, 5);
  ASSERT_EQ(draft.ids, expected.ids) << ids.size() << " tokens";
  ASSERT_EQ(draft.matched, expected.matched) << ids.size() << " tokens";
}

TEST(PromptLookup, ProposesWhatFollowedTheLatestLongestAgreement) {
  PromptLookup lookup;
  lookup.set(std::vector<TokenId>{1, 2, 3, 4, 50, 9, 2, 3, 4, 60, 7, 1, 2, 3, 4});
  EXPECT_THAT(lookup.draft(2).ids, ElementsAre(50, 9)) << "four tokens agree there, only three at the later place";
  EXPECT_EQ(lookup.draft(2).matched, 4u);
  lookup.set(std::vector<TokenId>{8, 2, 3, 50, 9, 2, 3, 60, 7, 1, 2, 3});
  EXPECT_THAT(lookup.draft(3).ids, ElementsAre(60, 7, 1)) << "the later of two places";
  EXPECT_EQ(lookup.draft(3).matched, 2u);
  EXPECT_THAT(lookup.draft(0).ids, IsEmpty());
}

TEST(PromptLookup, GoesOnWithARepetitionBeyondTheText) {
  PromptLookup lookup;
  lookup.set(std::vector<TokenId>{1, 2, 3, 1, 2, 3});
  EXPECT_THAT(lookup.draft(7).ids, ElementsAre(1, 2, 3, 1, 2, 3, 1));
  lookup.set(std::vector<TokenId>{5, 5, 5});
  EXPECT_THAT(lookup.draft(3).ids, ElementsAre(5, 5, 5));
}

TEST(PromptLookup, HasNothingForANewText) {
  PromptLookup lookup;
  EXPECT_THAT(lookup.draft(5).ids, IsEmpty());
  for (const TokenId id : {1, 2, 3, 4, 5, 3}) {
    lookup.append(id);
    EXPECT_THAT(lookup.draft(5).ids, IsEmpty()) << "one token alone is no n-gram";
  }
}

TEST(PromptLookup, EqualsASearchByHandAsTheTextGrowsAndShrinks) {
  std::mt19937 random(11);
  for (const std::uint32_t alphabet : {2u, 4u, 30u, 100000u}) {
    PromptLookup lookup;
    std::vector<TokenId> ids;
    const auto some_id = [&] { return static_cast<TokenId>(random() % alphabet); };
    for (int step = 0; step < 400; ++step) {
      if (random() % 10 == 0) {
        ids.resize(random() % (ids.size() + 1));
        for (std::size_t n = random() % 30; n > 0; --n) ids.push_back(some_id());
        lookup.set(ids);
      } else {
        ids.push_back(some_id());
        lookup.append(ids.back());
      }
      expect_found_by_hand(lookup, ids);
    }
  }
}

TEST(PromptLookup, KeepsItsPlacesWhenItsTablesGrow) {
  std::mt19937 random(12);
  PromptLookup lookup;
  std::vector<TokenId> ids;
  for (int i = 0; i < 5000; ++i) {
    ids.push_back(static_cast<TokenId>(random() % 40));
    lookup.append(ids.back());
    if (i % 97 == 0 || (i > 1020 && i < 1030)) expect_found_by_hand(lookup, ids);
  }
  ids.resize(900);
  lookup.set(ids);
  expect_found_by_hand(lookup, ids);
}

}  // namespace
}  // namespace bitnet
