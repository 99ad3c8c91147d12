// Unicode data: categories, lower case and normalisation forms at their corners.
#include "tokenizers/unicode.h"

#include <gtest/gtest.h>

#include "tokenizers/bert_unicode.h"

namespace bitnet::unicode {
namespace {

TEST(Unicode, KnowsCategories) {
  EXPECT_EQ(category(U'a'), Category::Ll);
  EXPECT_EQ(category(0x4e2d), Category::Lo);
  EXPECT_EQ(category(0x0301), Category::Mn);
  EXPECT_EQ(category(0x2167), Category::Nl);
  EXPECT_EQ(category(0x1fadc), Category::So) << "new in Unicode 16";
  EXPECT_EQ(category(0x110000), Category::Cn);
  EXPECT_TRUE(is_white_space(0x3000) && is_white_space(0x85) && !is_white_space(0x200b) && !is_white_space(0x1c));
}

TEST(Unicode, LowersOneToMany) {
  std::string out;
  append_lower(out, 0x130);
  EXPECT_EQ(out, "i\xcc\x87");
  out.clear(), append_lower(out, U'Z'), append_lower(out, 0x1e9e);
  EXPECT_EQ(out, "z\xc3\x9f");
}

TEST(Unicode, ComposesAndDecomposes) {
  EXPECT_EQ(nfc("e\xcc\x81"), "\xc3\xa9");
  EXPECT_EQ(nfd("\xc3\xa9"), "e\xcc\x81");
  EXPECT_EQ(nfc("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab"), "\xed\x95\x9c");  // Hangul
  EXPECT_EQ(nfd("\xed\x95\x9c"), "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab");
  EXPECT_EQ(nfc("\xe0\xa5\x98"), "\xe0\xa4\x95\xe0\xa4\xbc");  // excluded from composition
  EXPECT_EQ(nfkc("\xef\xac\x81\xe2\x91\xa0"), "fi1");
  EXPECT_EQ(nfc("a\xcc\xa7\xcc\x81"), nfc("a\xcc\x81\xcc\xa7")) << "marks of different classes are sorted";
  EXPECT_EQ(nfc("\xc3(x\xff"), "\xc3(x\xff") << "broken bytes pass";
}

TEST(Unicode, SortsManyMarks) {
  std::string text = "a";
  for (int i = 0; i < 100000; ++i) text += i % 2 ? "\xcc\xa7" : "\xcc\x81";
  EXPECT_EQ(nfd(text).size(), text.size());
}

TEST(BertCategory, IsThatOfUnicode8) {
  EXPECT_EQ(bert_category(0xc84), Category::Cn);
  EXPECT_EQ(bert_category(0x166d), Category::Po);
  EXPECT_EQ(bert_category(U'!'), Category::Po);
}

}  // namespace
}  // namespace bitnet::unicode
