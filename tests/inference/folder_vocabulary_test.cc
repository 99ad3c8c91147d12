// What a folder's small files say of special tokens, turns and ends: in which order they are asked, and what is refused.
#include "inference/folder_vocabulary.h"

#include <gmock/gmock.h>

#include "common/error.h"
#include "support/safetensors_builder.h"
#include "support/temp_folder.h"

namespace bitnet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr const char* byte_level =
    R"({"added_tokens": [{"id": 3, "content": "<s>", "special": true}, {"id": 4, "content": "</s>", "special": true}],
    "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}, "post_processor": null,
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})";

class FolderVocabulary : public testing::Test {
 protected:
  FolderVocabulary() { folder.put("config.json", R"({"eos_token_id": 4})"), folder.put("tokenizer.json", byte_level); }
  HuggingFaceFolder open() const { return HuggingFaceFolder::open(folder.path()); }
  std::unique_ptr<const Tokenizer> tokenizer() const { return tokenizer_from_folder(open()); }

  test::TempFolder folder;
};

TEST_F(FolderVocabulary, SpecialTokensAreThoseOfTheTokenizersConfig) {
  EXPECT_FALSE(tokenizer()->vocabulary().bos.has_value());
  folder.put("special_tokens_map.json", R"({"bos_token": "</s>", "eos_token": {"content": "</s>", "lstrip": false}})");
  EXPECT_EQ(tokenizer()->vocabulary().bos, 4);
  folder.put("tokenizer_config.json", R"({"bos_token": {"content": "<s>"}, "eos_token": null, "add_bos_token": true})");
  EXPECT_EQ(tokenizer()->vocabulary().bos, 3);
  EXPECT_EQ(tokenizer()->vocabulary().eos, 4);
  EXPECT_THAT(tokenizer()->encode("ab"), ElementsAre(3, 2));
  folder.put("tokenizer_config.json", R"({"bos_token": 3})");
  EXPECT_THAT([&] { tokenizer(); }, ThrowsMessage<Error>(HasSubstr("tokenizer_config.json: bos_token must be a string")));
  folder.put("tokenizer_config.json", "{");
  EXPECT_THAT([&] { tokenizer(); }, ThrowsMessage<Error>(HasSubstr("tokenizer_config.json: is not JSON")));
}

TEST_F(FolderVocabulary, IsNoneWithoutATokenizersFile) {
  std::filesystem::remove(folder.path() + "/tokenizer.json");
  EXPECT_EQ(tokenizer(), nullptr);
}

TEST_F(FolderVocabulary, TemplatesComeFromTheirOwnFileFirst) {
  EXPECT_EQ(chat_template_of(open()), std::nullopt);
  folder.put("tokenizer_config.json", R"({"chat_template": "one"})");
  EXPECT_EQ(chat_template_of(open()), "one");
  folder.put("tokenizer_config.json",
             R"({"chat_template": [{"name": "tools", "template": "t"}, {"name": "default", "template": "two"}]})");
  EXPECT_EQ(chat_template_of(open()), "two");
  folder.put("chat_template.jinja", "three");
  EXPECT_EQ(chat_template_of(open()), "three");
}

TEST_F(FolderVocabulary, EndsAreAllThatTheFilesName) {
  EXPECT_THAT(end_ids_of(open(), 5), ElementsAre(4));
  folder.put("generation_config.json", R"({"eos_token_id": [2, 3]})");
  EXPECT_THAT(end_ids_of(open(), 5), ElementsAre(2, 3, 4));
  for (const std::string value : {"5", "-1", "\"4\"", "[1, 5]", "1.5", "[[1]]"}) {
    folder.put("generation_config.json", "{\"eos_token_id\": " + value + "}");
    EXPECT_THAT([&] { end_ids_of(open(), 5); },
                ThrowsMessage<Error>(HasSubstr("generation_config.json: eos_token_id must be an id, or several, from 0 to 4")));
  }
}

}  // namespace
}  // namespace bitnet
