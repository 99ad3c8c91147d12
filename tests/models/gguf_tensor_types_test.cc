// Are formats that share a type id told apart by their bytes, and are tilings found beside the file?
#include "models/gguf_tensor_types.h"

#include <gmock/gmock.h>

#include "models/model.h"
#include "quantization/ternary.h"
#include "support/gguf_builder.h"
#include "support/temp_folder.h"

namespace bitnet {
namespace {

using test::GgufBuilder;
using testing::HasSubstr;
using testing::ThrowsMessage;

GgufFile open_bytes(const std::string& bytes) {
  const test::TempFile file(bytes);
  return GgufFile::open(file.path());
}

std::string of_size(std::uint64_t size) { return std::string(size, '\0'); }

DataType type_of(const GgufFile& file, const std::string& name) { return file.find_tensor(name)->view.type; }

TEST(SharedTypes, Q2_0IsToldByItsBytes) {
  GgufBuilder b;
  b.tensor("g128", {8, 256}, 42, of_size(8 * 68));
  b.tensor("g64", {8, 256}, 42, of_size(8 * 72));
  b.tensor("norm", {8}, 0, of_size(32));
  b.tensor("last", {8, 256}, 42, of_size(8 * 68));
  const GgufFile file = open_bytes(b.bytes());
  EXPECT_EQ(type_of(file, "g128"), DataType::q2_0_g128);
  EXPECT_EQ(file.find_tensor("g128")->view.bytes.size(), 8u * 68);
  EXPECT_EQ(type_of(file, "g64"), DataType::q2_0);
  EXPECT_EQ(file.find_tensor("g64")->view.bytes.size(), 8u * 72);
  EXPECT_EQ(type_of(file, "last"), DataType::q2_0_g128);
}

TEST(SharedTypes, ASmallQ2_0TensorIsLikeTheOthersOfItsFile) {
  // One block of 128, or two of 64, both take 64 bytes with padding.
  for (const bool g128 : {true, false}) {
    GgufBuilder b;
    b.tensor("small", {1, 128}, 42, of_size(36));
    b.tensor("large", {8, 256}, 42, of_size(g128 ? 8 * 68 : 8 * 72));
    b.tensor("end", {8}, 0, of_size(32));
    EXPECT_EQ(type_of(open_bytes(b.bytes()), "small"), g128 ? DataType::q2_0_g128 : DataType::q2_0);
  }
  GgufBuilder alone;
  alone.tensor("small", {1, 128}, 42, of_size(36));
  EXPECT_EQ(type_of(open_bytes(alone.bytes()), "small"), DataType::q2_0) << "what the id is defined as";
  GgufBuilder narrow;
  narrow.tensor("large", {8, 256}, 42, of_size(8 * 68)), narrow.tensor("w", {1, 64}, 42, of_size(18));
  EXPECT_EQ(type_of(open_bytes(narrow.bytes()), "w"), DataType::q2_0) << "a row of 64 has no block of 128";
}

TEST(SharedTypes, Q2_0OfTooFewBytesIsRefused) {
  GgufBuilder b;
  b.tensor("w", {8, 256}, 42, of_size(8 * 60));
  EXPECT_THAT([&] { open_bytes(b.bytes()); }, ThrowsMessage<Error>(HasSubstr("tensor 'w' needs 576 bytes")));
  GgufBuilder cut;
  cut.tensor("w", {8, 100}, 42, of_size(8 * 60));
  EXPECT_THAT(
      [&] { open_bytes(cut.bytes()); },
      ThrowsMessage<Error>(HasSubstr("tensor 'w' of type Q2_0 and shape (8, 100) is not rows of whole blocks of 64 weights")));
}

TEST(SharedTypes, TL2IsToldFromMXFP4) {
  // 2048 weights as triples, 426 bytes; 16384 as pairs, 4096; filled up to 4544; and the tail.
  constexpr std::uint64_t tl2 = 4576, mxfp4 = 64 * 288 / 32 * 17;
  ASSERT_EQ(data_bytes(DataType::tl2, 64 * 288, 288), tl2);
  for (const bool last : {false, true}) {
    GgufBuilder b;
    b.tensor("w", {64, 288}, 39, of_size(tl2));
    if (!last) b.tensor("end", {8}, 0, of_size(32));
    EXPECT_EQ(type_of(open_bytes(b.bytes()), "w"), DataType::tl2);
    GgufBuilder other;
    other.tensor("w", {64, 288}, 39, of_size(mxfp4));
    if (!last) other.tensor("end", {8}, 0, of_size(32));
    EXPECT_THAT([&] { open_bytes(other.bytes()); },
                ThrowsMessage<Error>(
                    HasSubstr("tensor 'w' has type 39, which is TL2 or MXFP4, shape (64, 288) and 9792 bytes: TL2 takes "
                              "4576, MXFP4, which is not supported, takes 9792")));
  }
  GgufBuilder narrow;
  narrow.tensor("w", {4, 32}, 39, of_size(68));
  EXPECT_THAT([&] { open_bytes(narrow.bytes()); }, ThrowsMessage<Error>(HasSubstr("TL2 cannot have that shape")));
}

// A folder of its own, with a model file and perhaps a kernel configuration.
class TiledFile {
 public:
  TiledFile(const std::string& model, const std::string& config) {
    folder_.put("model.gguf", model);
    if (!config.empty()) folder_.put("kernel_config.ini", config);
  }
  std::string path() const { return folder_ / "model.gguf"; }

 private:
  test::TempFolder folder_;
};

std::string tl1_model() {
  GgufBuilder b;
  b.tensor("w", {32, 64}, 38,
           std::string(512, '\x44') + GgufBuilder::number(0.5f) + of_size(28));  // all zeros: pairs of index 4
  return b.bytes();
}

TEST(Tilings, AreReadFromTheFileBesideTheModel) {
  const TiledFile folder(tl1_model(), "[a]\nm = 32\nk = 64\nbm = 32\nbk = 64\nbmm = 32\n");
  const GgufFile file = GgufFile::open(folder.path());
  const TensorView& view = file.find_tensor("w")->view;
  EXPECT_EQ(view.type, DataType::tl1);
  EXPECT_EQ(view.tiling, (Tiling{32, 64, 32}));
  EXPECT_THAT(ternary_scales(view, "w")->values, testing::ElementsAre(0.5f));
}

TEST(Tilings, WithoutThemTheFileOpensAndTheTensorIsRefusedByName) {
  for (const std::string config : {"", "[a]\nm = 64\nk = 32\nbm = 32\nbk = 32\nbmm = 32\n"}) {
    const TiledFile folder(tl1_model(), config);
    const GgufFile file = GgufFile::open(folder.path());
    EXPECT_THAT(
        [&] { ternary_scales(file.find_tensor("w")->view, "w"); },
        ThrowsMessage<Error>(HasSubstr("tensor 'w': TL1 is read and written in the tiles that a kernel_config.ini beside the "
                                       "model defines: there is none, or none with m = 32 and k = 64")));
  }
}

TEST(Tilings, ABrokenConfigurationIsRefusedOnlyWhereItIsNeeded) {
  const TiledFile folder(tl1_model(), "bm = 3");
  EXPECT_THAT([&] { GgufFile::open(folder.path()); },
              ThrowsMessage<Error>(HasSubstr("kernel_config.ini: line 1: 'bm' stands before the first section")));
  const TiledFile large(tl1_model(), std::string(70000, '#'));
  EXPECT_THAT([&] { GgufFile::open(large.path()); },
              ThrowsMessage<Error>(HasSubstr("has 70000 bytes, a kernel configuration has at most")));
  const TiledFile other(GgufBuilder().bytes(), "bm = 3");
  EXPECT_NO_THROW(GgufFile::open(other.path()));
}

}  // namespace
}  // namespace bitnet
