// Stop strings are found wherever the text is cut, and nothing of them leaks out.
#include "inference/stop_strings.h"

#include <gmock/gmock.h>

#include "common/error.h"

namespace bitnet {
namespace {

struct Outcome {
  std::string text;
  bool stopped;
  bool operator==(const Outcome&) const = default;
};

Outcome run(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopStrings matcher(stops);
  std::string text;
  for (const std::string& piece : pieces) text += matcher.put(piece);
  text += matcher.finish();
  return {text, matcher.stopped()};
}

TEST(StopStrings, AreFoundAtEveryCut) {
  const std::string text = "one two END three END";
  for (std::size_t a = 0; a <= text.size(); ++a) {
    for (std::size_t b = a; b <= text.size(); ++b) {
      EXPECT_EQ(run({"END", "never"}, {text.substr(0, a), text.substr(a, b - a), text.substr(b)}), (Outcome{"one two ", true}))
          << a << " " << b;
    }
  }
}

TEST(StopStrings, LetNearMissesThrough) {
  EXPECT_EQ(run({"\n\nUser:"}, {"a\n", "\nUse", "less\n"}), (Outcome{"a\n\nUseless\n", false}));
  EXPECT_EQ(run({"aab"}, {"a", "a", "a", "a", "b", "c"}), (Outcome{"aa", true}));
}

TEST(StopStrings, HoldBackNoMoreThanCouldMatch) {
  StopStrings matcher({"stop"});
  EXPECT_EQ(matcher.put("hello s"), "hello ");
  EXPECT_EQ(matcher.put("t"), "");
  EXPECT_EQ(matcher.put("art"), "start");
}

TEST(StopStrings, WithoutAnyEverythingPasses) { EXPECT_EQ(run({}, {"a", "b"}), (Outcome{"ab", false})); }

TEST(StopStrings, NameTheOneThatStopped) {
  StopStrings matcher({"ab", "abc", "x"});
  matcher.put("zabcx");
  EXPECT_EQ(matcher.found(), "abc");
  EXPECT_EQ(StopStrings({"ab"}).found(), "");
}

TEST(StopStrings, RefuseTheEmptyString) { EXPECT_THROW(StopStrings({""}), Error); }

}  // namespace
}  // namespace bitnet
