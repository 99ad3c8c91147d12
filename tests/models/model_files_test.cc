// Models in several files: every part is there, is the part it says it is, and no tensor is in two of them.
#include "models/model_files.h"

#include <gmock/gmock.h>

#include "common/error.h"
#include "models/model.h"
#include "support/random_model.h"
#include "support/safetensors_builder.h"
#include "support/temp_folder.h"

namespace bitnet {
namespace {

using test::GgufBuilder;
using test::SafetensorsBuilder;
using test::TempFolder;
using testing::AllOf;
using testing::HasSubstr;
using testing::Property;

auto refused(const std::string& text) {
  return testing::Throws<Error>(AllOf(Property(&Error::kind, ErrorKind::bad_model), Property(&Error::what, HasSubstr(text))));
}

// One part of a split file with one tensor of one float.
std::string part(std::uint32_t number, std::uint32_t count, std::uint32_t tensors, const std::string& tensor) {
  GgufBuilder b;
  b.entry("split.no", 2, GgufBuilder::number(static_cast<std::uint16_t>(number)));
  b.entry("split.count", 2, GgufBuilder::number(static_cast<std::uint16_t>(count)));
  b.entry("split.tensors.count", 5, GgufBuilder::number(tensors));
  if (!tensor.empty()) b.tensor(tensor, {1}, 0, GgufBuilder::number(static_cast<float>(number)));
  return b.bytes();
}

std::string part_name(int number, int count) { return fmt::format("m-{:05}-of-{:05}.gguf", number, count); }

TEST(SplitGguf, IsReadFromItsFirstPart) {
  const TempFolder folder;
  const std::string first = folder.put(part_name(1, 3), part(0, 3, 2, ""));
  folder.put(part_name(2, 3), part(1, 3, 2, "b")), folder.put(part_name(3, 3), part(2, 3, 2, "a"));
  const ModelFiles files = ModelFiles::open(first);
  EXPECT_EQ(files.file_count(), 3u);
  ASSERT_EQ(files.tensors().size(), 2u);
  EXPECT_EQ(files.tensors()[0].name, "b");
  const StoredTensor* a = files.find("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->file, 2u);
  EXPECT_EQ(a->bytes.data(), files.map(2).bytes().data() + a->offset);
  EXPECT_EQ(files.bytes(), files.map(0).bytes().size() + files.map(1).bytes().size() + files.map(2).bytes().size());
  EXPECT_EQ(files.find("c"), nullptr);
}

TEST(SplitGguf, OneOfOneIsAnOrdinaryFile) {
  const TempFolder folder;
  EXPECT_EQ(ModelFiles::open(folder.put("x.gguf", part(0, 1, 1, "a"))).tensors().size(), 1u);
}

TEST(SplitGguf, EachPartIsHeldAgainstTheFirst) {
  const TempFolder folder;
  const std::string first = folder.put(part_name(1, 2), part(0, 2, 2, "a"));
  const auto second_refused = [&](const std::string& bytes, const std::string& fact) {
    folder.put(part_name(2, 2), bytes);
    EXPECT_THAT([&] { ModelFiles::open(first); }, refused(fact));
  };
  EXPECT_THAT([&] { ModelFiles::open(first); }, refused("m-00002-of-00002.gguf is missing"));
  second_refused(part(0, 2, 2, "b"), "split.no is 0, it must be 1");
  second_refused(part(1, 3, 2, "b"), "split.count is 3, the first part says 2");
  second_refused(part(1, 2, 2, ""), "split.tensors.count is 2, the parts have 1");
  second_refused(part(1, 2, 2, "a"), "tensor 'a' is in an earlier part, too");
  second_refused("GGUF", "version needs 4 bytes");
  folder.put(part_name(2, 2), part(1, 2, 2, "b"));
  EXPECT_NO_THROW(ModelFiles::open(first));
}

TEST(SplitGguf, AsksForTheFirstPartByName) {
  const TempFolder folder;
  const std::string second = folder.put(part_name(2, 2), part(1, 2, 2, "b"));
  EXPECT_THAT([&] { ModelFiles::open(second); },
              refused("it must be 0: give the first of the 2 parts, " + folder.path() + "/m-00001-of-00002.gguf"));
  const std::string renamed = folder.put("renamed.gguf", part(0, 2, 2, "a"));
  EXPECT_THAT([&] { ModelFiles::open(renamed); }, refused("its name must end with -00001-of-00002.gguf"));
  const std::string number = folder.put(part_name(4, 2), part(3, 2, 2, "a"));
  EXPECT_THAT([&] { ModelFiles::open(number); }, refused("split.no is 3, it must be 0: give the first of the 2 parts"));
  GgufBuilder b;
  b.u32("split.count", 3);
  const std::string bare = folder.put("bare.gguf", b.bytes());
  EXPECT_THAT([&] { ModelFiles::open(bare); }, refused("split.no is missing"));
}

std::string one_tensor(const std::string& name) {
  SafetensorsBuilder b;
  b.tensor(name, "F32", {1}, "1234");
  return b.bytes();
}

class Shards : public testing::Test {
 protected:
  Shards() {
    folder.put("config.json", "{}");
    folder.put("model-00001-of-00002.safetensors", one_tensor("a"));
    folder.put("model-00002-of-00002.safetensors", one_tensor("b"));
  }
  void index(const std::string& map) const { folder.put("model.safetensors.index.json", "{\"weight_map\":" + map + "}"); }
  void index_refused(const std::string& map, const std::string& fact) const {
    index(map);
    EXPECT_THAT([&] { ModelFiles::open(folder.path()); }, refused(fact)) << map;
  }

  TempFolder folder;
  const std::string right = R"({"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"})";
};

TEST_F(Shards, AreReadByTheirIndex) {
  index(right);
  for (const std::string& path : {folder.path(), folder.path() + "/", folder.path() + "/model-00002-of-00002.safetensors"}) {
    const ModelFiles files = ModelFiles::open(path);
    EXPECT_EQ(files.file_count(), 2u) << path;
    EXPECT_EQ(files.find("b")->file, 1u);
    EXPECT_EQ(files.gguf(), nullptr);
    ASSERT_NE(files.folder(), nullptr);
    EXPECT_EQ(files.folder()->path(), folder.path());
  }
}

TEST_F(Shards, EveryTensorIsInTheShardThatTheIndexNames) {
  index_refused(R"({"a":"model-00002-of-00002.safetensors","b":"model-00001-of-00002.safetensors"})",
                "tensor 'a' is in model-00001-of-00002.safetensors, where the index has not put it");
  index_refused(R"({"a":"model-00001-of-00002.safetensors","c":"model-00001-of-00002.safetensors",)"
                R"("b":"model-00002-of-00002.safetensors"})",
                "tensor 'c' is not in model-00001-of-00002.safetensors, where the index has put it");
  folder.put("model-00002-of-00002.safetensors", one_tensor("a"));
  index_refused(right, "tensor 'a' is in model-00002-of-00002.safetensors, where the index has not put it");
}

TEST_F(Shards, NoneIsMissingOrLeftOver) {
  index_refused(R"({"a":"model-00001-of-00002.safetensors"})", "does not name model-00002-of-00002.safetensors");
  index_refused(R"({"a":"model-00001-of-00002.safetensors","b":"model-00003-of-00002.safetensors"})",
                "shard model-00003-of-00002.safetensors is missing");
  std::filesystem::remove(folder.path() + "/model-00001-of-00002.safetensors");
  index_refused(right, "shard model-00001-of-00002.safetensors is missing");
}

TEST_F(Shards, NamesStayInTheFolder) {
  for (const std::string name : {"../x.safetensors", "/etc/passwd", "a/b.safetensors", ".x.safetensors", "", "model.bin",
                                 "a\\u0000.safetensors", "a\\n.safetensors"}) {
    index_refused("{\"a\":\"" + name + "\"}", "it must be the name of a .safetensors file in the folder");
  }
  index_refused(R"({"a":1})", "is 'not a string'");
  for (const std::string map : {"{}", "[]", "1"}) index_refused(map, "weight_map is missing, empty or no object");
  index_refused(R"({"a":"x.safetensors","a":"x.safetensors"})", "the name 'a' appears twice");
  folder.put("model.safetensors.index.json", "[]");
  EXPECT_THAT([&] { ModelFiles::open(folder.path()); }, refused("is not a JSON object"));
}

TEST_F(Shards, OneFileComesBeforeAnIndex) {
  index("broken");
  folder.put("model.safetensors", one_tensor("c"));
  EXPECT_NE(ModelFiles::open(folder.path()).find("c"), nullptr);
}

TEST(FolderWithoutAModel, SaysWhatItLacks) {
  const TempFolder folder;
  EXPECT_THAT([&] { ModelFiles::open(folder.path()); }, refused("has no config.json: a model is a GGUF file or a folder"));
  folder.put("b.gguf", "x"), folder.put("a.gguf", "x");
  EXPECT_THAT([&] { ModelFiles::open(folder.path()); }, refused("give the GGUF file in it: a.gguf, b.gguf"));
  folder.put("config.json", "{}");
  EXPECT_THAT([&] { ModelFiles::open(folder.path()); },
              refused("neither model.safetensors nor model.safetensors.index.json; give the GGUF file in it: a.gguf, b.gguf"));
  std::filesystem::remove(folder.path() + "/a.gguf"), std::filesystem::remove(folder.path() + "/b.gguf");
  EXPECT_THAT([&] { ModelFiles::open(folder.path()); },
              refused("has neither model.safetensors nor model.safetensors.index.json"));
  folder.put("pytorch_model.bin", "x");
  EXPECT_THAT([&] { ModelFiles::open(folder.path()); },
              refused("pickles are not read, because they run code: pytorch_model.bin"));
  EXPECT_THAT([&] { ModelFiles::open(folder.path() + "/none.safetensors"); },
              testing::Throws<Error>(Property(&Error::kind, ErrorKind::not_found)));
  const std::string bomb = std::string(100, '[') + std::string(100, ']');
  folder.put("config.json", "{\"a\":" + bomb + "}");
  EXPECT_THAT([&] { ModelFiles::open(folder.path()); }, refused("config.json: is nested deeper than 64"));
  folder.put("config.json", R"({"a":1,"b":{"c":2,"c":3}})");
  EXPECT_THAT([&] { ModelFiles::open(folder.path()); }, refused("the name 'c' appears twice"));
}

}  // namespace
}  // namespace bitnet
