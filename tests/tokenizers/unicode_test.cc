// Character data and normalisation: values of the standard, and laws that hold for every character.
#include "tokenizers/unicode.h"

#include <gtest/gtest.h>

#include "common/utf8.h"
#include "growth.h"
#include "tokenizers/bert_unicode.h"

namespace bitnet::unicode {
namespace {

std::string utf8(char32_t code) {
  std::string out;
  utf8_append(out, code);
  return out;
}

std::string lower(char32_t code) {
  std::string out;
  append_lower(out, code);
  return out;
}

template <class Body>
void each_assigned_plane(const Body& body) {  // the three planes that hold nearly all characters, without surrogates
  for (char32_t code = 0; code < 0x30000; ++code) {
    if (code < 0xd800 || code > 0xdfff) body(code);
  }
}

TEST(UnicodeCategory, HasTheStandardsValues) {
  const std::pair<char32_t, Category> expected[] = {
      {U'A', Category::Lu},       {U'a', Category::Ll},    {0x1c5, Category::Lt},    {0x2b0, Category::Lm},
      {U'中', Category::Lo},      {0x301, Category::Mn},   {0x903, Category::Mc},    {0x20dd, Category::Me},
      {U'7', Category::Nd},       {0x2167, Category::Nl},  {0xb2, Category::No},     {U'_', Category::Pc},
      {U'-', Category::Pd},       {U'(', Category::Ps},    {U')', Category::Pe},     {0xab, Category::Pi},
      {0xbb, Category::Pf},       {U'!', Category::Po},    {U'+', Category::Sm},     {U'$', Category::Sc},
      {U'^', Category::Sk},       {0x1f600, Category::So}, {U' ', Category::Zs},     {0x2028, Category::Zl},
      {0x2029, Category::Zp},     {U'\0', Category::Cc},   {0x200d, Category::Cf},   {0xe000, Category::Co},
      {0xd800, Category::Cs},     {0x378, Category::Cn},   {0x10ffff, Category::Cn}, {0x110000, Category::Cn},
      {0xffffffff, Category::Cn}, {0x1c89, Category::Lu},  // new in Unicode 16
  };
  for (const auto& [code, value] : expected) EXPECT_EQ(category(code), value) << std::hex << static_cast<std::uint32_t>(code);
}

TEST(UnicodeCategory, GroupsAreDisjoint) {
  each_assigned_plane([](char32_t c) {
    const int groups = is_letter(c) + is_mark(c) + is_number(c) + is_punctuation(c) + is_symbol(c);
    ASSERT_LE(groups, 1) << std::hex << static_cast<std::uint32_t>(c);
  });
}

TEST(BertCategory, IsThatOfUnicodeEight) {
  EXPECT_EQ(bert_category(0xc84), Category::Cn) << "a later sign of punctuation";
  EXPECT_EQ(bert_category(0x8ca), Category::Cn) << "a later mark";
  EXPECT_EQ(bert_category(0x8e3), Category::Mn);
  EXPECT_EQ(bert_category(0x166d), Category::Po) << "changed since";
  EXPECT_EQ(bert_category(U'!'), Category::Po);
}

TEST(UnicodeWhiteSpace, IsTwentyFiveCharacters) {
  int count = 0;
  for (char32_t code = 0; code < 0x110000; ++code) count += is_white_space(code);
  EXPECT_EQ(count, 25);
  for (const char32_t code : {0x9, 0xd, 0x20, 0x85, 0xa0, 0x1680, 0x2007, 0x2029, 0x202f, 0x205f, 0x3000}) {
    EXPECT_TRUE(is_white_space(code));
  }
  for (const char32_t code : {0x1c, 0x180e, 0x200b, 0x2060, 0xfeff}) EXPECT_FALSE(is_white_space(code));
}

TEST(UnicodeLower, MapsFully) {
  EXPECT_EQ(lower(U'Q'), "q");
  EXPECT_EQ(lower(U'q'), "q");
  EXPECT_EQ(lower(U'É'), "é");
  EXPECT_EQ(lower(0x130), "i\u0307");  // one becomes two
  EXPECT_EQ(lower(U'Σ'), "σ");
  EXPECT_EQ(lower(0x1e9e), "ß");
  EXPECT_EQ(lower(0x1c5), "\u01c6");
  EXPECT_EQ(lower(0x10400), "\U00010428");
  EXPECT_EQ(lower(0x1c89), "\u1c8a");  // new in Unicode 16
  EXPECT_EQ(lower(U'中'), "中");
}

struct Forms {
  const char *text, *nfc, *nfd, *nfkc;
};

TEST(UnicodeNormalisation, HasTheStandardsForms) {
  const Forms expected[] = {
      {"plain", "plain", "plain", "plain"},
      {"é", "é", "e\u0301", "é"},
      {"e\u0301", "é", "e\u0301", "é"},
      {"\u212b", "\u00c5", "A\u030a", "\u00c5"},                   // a singleton never comes back
      {"\u0958", "\u0915\u093c", "\u0915\u093c", "\u0915\u093c"},  // excluded from composition
      {"\u1e9b\u0323", "\u1e9b\u0323", "\u017f\u0323\u0307", "\u1e69"},
      {"q\u0307\u0323", "q\u0323\u0307", "q\u0323\u0307", "q\u0323\u0307"},  // marks change places
      {"a\u0315\u0300", "\u00e0\u0315", "a\u0300\u0315", "\u00e0\u0315"},
      {"a\u0305\u0301", "a\u0305\u0301", "a\u0305\u0301", "a\u0305\u0301"},  // blocked by a mark of the same class
      {"\u09c7\u09be", "\u09cb", "\u09c7\u09be", "\u09cb"},                  // two starters
      {"\u0344", "\u0308\u0301", "\u0308\u0301", "\u0308\u0301"},
      {"각", "각", "\u1100\u1161\u11a8", "각"},
      {"\u1100\u1161\u11a8", "각", "\u1100\u1161\u11a8", "각"},
      {"가\u11a7", "가\u11a7", "\u1100\u1161\u11a7", "가\u11a7"},  // one before the first final consonant
      {"ﬁ①㌔ｱ\u3000", "ﬁ①㌔ｱ\u3000", "ﬁ①㌔ｱ\u3000", "fi1キロア "},
      {"\U0001d15e", "\U0001d157\U0001d165", "\U0001d157\U0001d165", "\U0001d157\U0001d165"},
      {"\ufdfa", "\ufdfa", "\ufdfa", "صلى الله عليه وسلم"},
      {"", "", "", ""},
  };
  for (const Forms& e : expected) {
    EXPECT_EQ(nfc(e.text), e.nfc) << e.text;
    EXPECT_EQ(nfd(e.text), e.nfd) << e.text;
    EXPECT_EQ(nfkc(e.text), e.nfkc) << e.text;
  }
}

TEST(UnicodeNormalisation, FormsAgreeForEveryCharacter) {
  each_assigned_plane([](char32_t code) {
    const std::string text = utf8(code), composed = nfc(text), decomposed = nfd(text), compatible = nfkc(text);
    SCOPED_TRACE(static_cast<std::uint32_t>(code));
    ASSERT_EQ(nfc(composed), composed);
    ASSERT_EQ(nfd(decomposed), decomposed);
    ASSERT_EQ(nfc(decomposed), composed);
    ASSERT_EQ(nfd(composed), decomposed);
    ASSERT_EQ(nfkc(compatible), compatible);
    ASSERT_EQ(nfkc(decomposed), compatible);
  });
}

TEST(UnicodeNormalisation, CopiesBrokenBytesAndNormalisesAroundThem) {
  EXPECT_EQ(nfc("e\u0301\xff"
                "e\u0301"),
            "é\xffé");
  EXPECT_EQ(nfc("e\xff\u0301"), "e\xff\u0301") << "no composition across";
  EXPECT_EQ(nfkc("ﬁ\xe4\xb8"), "fi\xe4\xb8");
  EXPECT_EQ(nfd("\xed\xa0\x80é"),
            "\xed\xa0\x80"
            "e\u0301");
}

TEST(UnicodeNormalisation, TakesTimeInStepWithTheText) {
  for (const char* part : {"\u0301\u0323", "e\u0301", "각", "ﬁ", "a\u0315\u0300\u0323"}) {
    EXPECT_LT(test::growth(part, [](const std::string& text) { nfkc(text); }), 2.5) << part;
  }
}

}  // namespace
}  // namespace bitnet::unicode
