// Which names are models, and which may become files?
#include <gmock/gmock.h>

#include "models/hub/model_name.h"

namespace bitnet::hub {
namespace {

TEST(ModelName, HasARepositoryAFileAndARevision) {
  const auto name = parse_model_name("acme/tiny.b1.58_x:sub/a-I2_S.gguf@refs/pr/1");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->repository, "acme/tiny.b1.58_x");
  EXPECT_EQ(name->file, "sub/a-I2_S.gguf");
  EXPECT_EQ(name->revision, "refs/pr/1");
  EXPECT_EQ(name->text(), "acme/tiny.b1.58_x:sub/a-I2_S.gguf@refs/pr/1");
  EXPECT_EQ(parse_model_name("a/b")->revision_or_main(), "main");
  EXPECT_EQ(parse_model_name("a/b:x@y@z")->revision, "z");
}

TEST(ModelName, AnAliasStandsForARepository) {
  for (const Alias& alias : aliases()) {
    const auto name = parse_model_name(std::string(alias.name) + ":I2_S@v1");
    ASSERT_TRUE(name) << alias.name;
    EXPECT_EQ(name->text(), std::string(alias.repository) + ":I2_S@v1");
  }
  EXPECT_FALSE(parse_model_name("2B-4T"));
}

TEST(ModelName, RefusesWhatIsNone) {
  for (const char* text : {"",       "/",          "a",        "a/",       "/b",        "a/b/c",    "a b/c", "a/b--c",
                           "a/b..c", ".a/b",       "a/b.",     "-a/b",     "a/b-",      "a/b:",     "a/b@",  "a/b:/c",
                           "a/b:..", "a/b:c/../d", "a/b:c\\d", "a/b@../c", "a/b:c\x01", "a/b:\xff", "a@v/b"}) {
    EXPECT_FALSE(parse_model_name(text)) << text;
  }
  EXPECT_FALSE(parse_model_name("a/" + std::string(95, 'b')));
  EXPECT_TRUE(parse_model_name("a/" + std::string(94, 'b')));
}

TEST(SafePath, StaysWhereItIsPut) {
  for (const char* path : {"a", "a/b", ".gitattributes", "a b", "\xc3\xa4.gguf", "..a"})
    EXPECT_TRUE(is_safe_path(path)) << path;
  for (const char* path : {"", ".", "..", "/a", "a/", "a//b", "a/./b", "a/../b", "a\\b", "a\nb", "a\x7f", "\xc2\x9b", "\xff"}) {
    EXPECT_FALSE(is_safe_path(path)) << path;
  }
  EXPECT_FALSE(is_safe_path(std::string("a\0b", 3)));
  EXPECT_FALSE(is_safe_path(std::string(256, 'a')));
  EXPECT_TRUE(is_safe_path(std::string(255, 'a')));
}

TEST(SafeBlobName, IsOnePart) {
  EXPECT_TRUE(is_safe_blob_name(std::string(64, 'a')));
  EXPECT_TRUE(is_safe_blob_name("5d41402abc4b2a76b9719d911017c592-12"));
  for (const char* name : {"", ".", "..", ".a", "a/b", "a b", "a\"", "\xc3\xa4"}) EXPECT_FALSE(is_safe_blob_name(name)) << name;
  EXPECT_FALSE(is_safe_blob_name(std::string(129, 'a')));
}

TEST(RepositoryFolder, GoesThereAndBack) {
  EXPECT_EQ(repository_folder("acme/a-b"), "models--acme--a-b");
  EXPECT_EQ(repository_of_folder("models--acme--a-b"), "acme/a-b");
  for (const char* folder : {"models--x", "datasets--a--b", "models--a--..", "models--..--b", "models--a--b--c", ".locks"}) {
    EXPECT_FALSE(repository_of_folder(folder)) << folder;
  }
}

}  // namespace
}  // namespace bitnet::hub
