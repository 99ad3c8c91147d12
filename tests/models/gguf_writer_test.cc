// What is written is what the reader reads back; files are whole or absent; parts fit together again.
#include "models/gguf_writer.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>

#include <random>

#include "common/error.h"
#include "models/gguf_parts.h"
#include "support/gguf_builder.h"
#include "support/temp_folder.h"

namespace bitnet {
namespace {

using test::GgufBuilder;
using test::TempFolder;
using testing::AllOf;
using testing::HasSubstr;
using testing::Property;

auto throws(ErrorKind kind, const std::string& text) {
  return testing::Throws<Error>(AllOf(Property(&Error::kind, kind), Property(&Error::what, HasSubstr(text)),
                                      Property(&Error::what, testing::Not(HasSubstr("\n")))));
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text.data(), text.size())); }

std::string random_bytes(std::mt19937& random, std::size_t n) {
  std::string out;
  for (std::size_t i = 0; i < n; ++i) out += static_cast<char>(random() & 0xff);
  return out;
}

std::string every_type() {
  GgufBuilder b;
  b.text("general.architecture", "llama");
  b.entry("u8", 0, GgufBuilder::number<std::uint8_t>(200)), b.entry("i8", 1, GgufBuilder::number<std::int8_t>(-2));
  b.entry("u16", 2, GgufBuilder::number<std::uint16_t>(65000)), b.entry("i16", 3, GgufBuilder::number<std::int16_t>(-300));
  b.u32("u32", 4000000000u), b.entry("i32", 5, GgufBuilder::number<std::int32_t>(-5));
  b.f32("f32", 1e-5f), b.boolean("yes", true), b.text("text", "a\nb"), b.texts("texts", {"", "x"});
  b.entry("booleans", 9,
          test::GgufBuilder::number<std::uint32_t>(7) + test::GgufBuilder::number<std::uint64_t>(3) + std::string("\1\0\1", 3));
  b.i32s("i32s", {-1, 7}), b.f32s("f32s", {0.5f, -3});
  b.entry("u64", 10, GgufBuilder::number<std::uint64_t>(1ull << 60)), b.entry("i64", 11, GgufBuilder::number<std::int64_t>(-9));
  b.entry("f64", 12, GgufBuilder::number(0.1));
  b.entry("i8s", 9, GgufBuilder::number<std::uint32_t>(1) + GgufBuilder::number<std::uint64_t>(3) + "abc");
  b.tensor("w", {2, 3}, 0, std::string(24, '\1')), b.tensor("v", {4}, 1, std::string(8, '\2'));
  return b.bytes();
}

void copy_all(const GgufFile& source, TensorFiles& files) {
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    files.copy(i, source.tensors()[i].view.bytes, source.map(), [](std::uint64_t) {});
  }
}

std::vector<NewTensor> table_of(const GgufFile& source) {
  std::vector<NewTensor> table;
  for (const GgufTensor& t : source.tensors()) table.push_back({std::string(t.name), t.view.type, t.view.shape});
  return table;
}

GgufMetadata metadata_of(const GgufFile& source) {
  GgufMetadata metadata;
  for (const GgufEntry& entry : source.entries()) metadata.copy(entry);
  return metadata;
}

TEST(GgufWriter, CopiesEveryTypeOfMetadataByteForByte) {
  const TempFolder folder;
  const test::TempFile temp(every_type());
  const GgufFile source = GgufFile::open(temp.path());
  const std::string out = folder / "out.gguf";
  TensorFiles files({{out, gguf_layout(metadata_of(source), table_of(source))}}, Replace::no);
  copy_all(source, files);
  files.commit();
  EXPECT_EQ(read_file(out), every_type());
}

TEST(GgufWriter, EncodesEveryTypeOfMetadata) {
  GgufMetadata m;
  const std::vector<std::string> texts = {"", "x"};
  const std::int32_t i32s[] = {-1, 7};
  const float f32s[] = {0.5f, -3};
  m.text("general.architecture", "llama"), m.u8("u8", 200), m.i8("i8", -2), m.u16("u16", 65000), m.i16("i16", -300);
  m.u32("u32", 4000000000u), m.i32("i32", -5), m.f32("f32", 1e-5f), m.boolean("yes", true), m.text("text", "a\nb");
  m.texts("texts", texts), m.booleans("booleans", {true, false, true}), m.i32s("i32s", i32s), m.f32s("f32s", f32s);
  m.u64("u64", 1ull << 60), m.i64("i64", -9), m.f64("f64", 0.1);
  const test::TempFile temp(every_type());
  GgufMetadata expected = metadata_of(GgufFile::open(temp.path()));
  expected.remove("i8s");
  EXPECT_EQ(m.encoded(), expected.encoded());
  m.u32("u32", 1), expected.u32("u32", 1);
  EXPECT_EQ(m.encoded(), expected.encoded()) << "a new value keeps the key's place";
}

TEST(GgufWriter, KeepsTheAlignment) {
  GgufMetadata m;
  m.u32("general.alignment", 256);
  const std::vector<NewTensor> tensors = {{"a", DataType::f32, {{3}}}, {"b", DataType::f16, {{5}}}};
  const FileLayout layout = gguf_layout(m, tensors);
  EXPECT_EQ(layout.tensors[0].offset % 256, 0u);
  EXPECT_EQ(layout.tensors[1].offset, layout.tensors[0].offset + 256);
  EXPECT_EQ(layout.file_bytes, layout.tensors[1].offset + 256);
}

TEST(GgufWriter, RefusesRowsThatAreNotWholeBlocks) {
  const std::vector<NewTensor> tensors = {{"blk.0.w", DataType::tq2_0, {{2, 384}}}};
  EXPECT_THAT([&] { gguf_layout({}, tensors); }, throws(ErrorKind::usage, "'blk.0.w' of shape (2, 384) cannot be TQ2_0"));
}

std::vector<TensorFiles::File> one_tensor(const std::string& path, std::int64_t floats) {
  return {{path, gguf_layout({}, std::vector<NewTensor>{{"w", DataType::f32, {{floats}}}})}};
}

TEST(TensorFiles, LeaveNothingWithoutCommit) {
  const TempFolder folder;
  {
    const TensorFiles files(one_tensor(folder / "a.gguf", 8), Replace::no);
  }
  EXPECT_THAT(folder.names(), testing::IsEmpty());
}

TEST(TensorFiles, RefuseToCommitWhatIsNotComplete) {
  const TempFolder folder;
  {
    TensorFiles files(one_tensor(folder / "a.gguf", 8), Replace::no);
    files.write(0, 0, bytes_of(std::string(31, 'x')));
    EXPECT_THAT([&] { files.commit(); }, throws(ErrorKind::runtime, "1 bytes of tensors were not written"));
    EXPECT_THAT([&] { files.write(0, 31, bytes_of("ab")); }, throws(ErrorKind::runtime, "would get 2 at 31"));
  }
  EXPECT_THAT(folder.names(), testing::IsEmpty());
}

TEST(TensorFiles, RefuseATakenNameUnlessItIsToBeReplaced) {
  const TempFolder folder;
  const std::string path = folder / "a.gguf";
  std::ofstream(path) << "old";
  EXPECT_THAT([&] { TensorFiles(one_tensor(path, 1), Replace::no); }, throws(ErrorKind::usage, "exists already"));
  EXPECT_EQ(read_file(path), "old");
  TensorFiles files(one_tensor(path, 1), Replace::yes);
  files.write(0, 0, bytes_of("abcd"));
  EXPECT_EQ(read_file(path), "old") << "until the end";
  files.commit();
  EXPECT_EQ(GgufFile::open(path).tensors().size(), 1u);
}

TEST(TensorFiles, DoNotReplaceANameThatWasTakenMeanwhile) {
  const TempFolder folder;
  const std::string path = folder / "a.gguf";
  {
    TensorFiles files(one_tensor(path, 1), Replace::no);
    files.write(0, 0, bytes_of("abcd"));
    std::ofstream(path) << "somebody else's";
    EXPECT_THAT([&] { files.commit(); }, throws(ErrorKind::usage, "exists already"));
  }
  EXPECT_EQ(read_file(path), "somebody else's");
  EXPECT_EQ(folder.names().size(), 1u);
}

TEST(TensorFiles, SayBeforehandThatTheDiskIsTooSmall) {
  const TempFolder folder;
  EXPECT_THAT([&] { TensorFiles(one_tensor(folder / "a.gguf", std::int64_t{1} << 50), Replace::no); },
              throws(ErrorKind::io, "the disk has"));
  EXPECT_THAT(folder.names(), testing::IsEmpty());
}

TEST(TensorFiles, LeaveNothingWhenWritingFails) {
  const TempFolder folder;
  signal(SIGXFSZ, SIG_IGN);
  rlimit old = {};
  getrlimit(RLIMIT_FSIZE, &old);
  {
    TensorFiles files(one_tensor(folder / "a.gguf", 1 << 20), Replace::no);
    const rlimit small = {1 << 20, old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    EXPECT_THAT([&] { files.write(0, 0, bytes_of(std::string(4 << 20, 'x'))); }, throws(ErrorKind::io, "cannot write"));
    setrlimit(RLIMIT_FSIZE, &old);
  }
  EXPECT_THAT(folder.names(), testing::IsEmpty());
}

GgufBuilder many_tensors(std::uint32_t seed) {
  std::mt19937 random(seed);
  GgufBuilder b;
  b.text("general.architecture", "llama"), b.text("long", random_bytes(random, 3000));
  for (int i = 0; i < 40; ++i) {
    const std::uint64_t rows = 1 + random() % 50, cols = 1 + random() % 30;
    b.tensor("t" + std::to_string(i), {rows, cols}, 0, random_bytes(random, 4 * rows * cols));
  }
  return b;
}

TEST(GgufParts, SplitAndPutTogetherAreTheSameFile) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const TempFolder folder;
    const test::TempFile temp(many_tensors(seed).bytes());
    const GgufFile source = GgufFile::open(temp.path());
    const std::vector<NewTensor> table = table_of(source);
    const GgufMetadata metadata = metadata_of(source);
    const std::uint64_t limit = 4000 + 1000 * seed;
    const auto ends = seed % 2 == 0 ? cut_into(table, 1 + seed) : cut_by_size(metadata, table, limit);
    TensorFiles files(part_files(folder / "m", metadata, table, ends), Replace::no);
    copy_all(source, files);
    files.commit();
    if (seed % 2 == 0) {
      EXPECT_EQ(folder.names().size(), 1 + seed);
    }
    const std::vector<GgufFile> parts = open_parts(part_path(folder / "m", 0, ends.size()));
    std::size_t next = 0;
    for (const GgufFile& part : parts) {
      EXPECT_TRUE(seed % 2 == 0 || part.size() <= limit || part.tensors().size() == 1) << part.size();
      for (const GgufTensor& tensor : part.tensors()) {
        const GgufTensor& original = source.tensors()[next++];
        EXPECT_EQ(tensor.name, original.name);
        EXPECT_TRUE(std::ranges::equal(tensor.view.bytes, original.view.bytes)) << tensor.name;
      }
    }
    EXPECT_EQ(next, 40u);
  }
}

TEST(GgufParts, NameWhatDoesNotFitTogether) {
  const TempFolder folder;
  const test::TempFile temp(many_tensors(1).bytes());
  const GgufFile source = GgufFile::open(temp.path());
  const std::vector<NewTensor> table = table_of(source);
  TensorFiles files(part_files(folder / "m", metadata_of(source), table, cut_into(table, 3)), Replace::no);
  copy_all(source, files);
  files.commit();
  const auto path = [&](std::size_t part) { return part_path(folder / "m", part, 3); };
  EXPECT_THAT([&] { open_parts(path(1)); }, throws(ErrorKind::bad_model, "split.no is 1, it must be 0"));
  std::filesystem::copy(path(0), folder / "other.gguf");
  EXPECT_THAT([&] { open_parts(folder / "other.gguf"); }, throws(ErrorKind::bad_model, "must end with -00001-of-00003.gguf"));
  std::filesystem::rename(path(2), folder / "kept");
  EXPECT_THAT([&] { open_parts(path(0)); }, throws(ErrorKind::bad_model, "00003-of-00003.gguf is missing"));
  std::filesystem::copy(path(1), path(2));
  EXPECT_THAT([&] { open_parts(path(0)); }, throws(ErrorKind::bad_model, "split.no is 1, it must be 2"));
}

TEST(GgufParts, RefuseImpossibleNumbers) {
  const std::vector<NewTensor> table = {{"a", DataType::f32, {{1}}}, {"b", DataType::f32, {{1000}}}};
  EXPECT_THAT(cut_into(table, 2), testing::ElementsAre(1, 2));
  EXPECT_THAT([&] { cut_into(table, 3); }, throws(ErrorKind::usage, "3 parts are not possible, allowed are 1 to 2"));
  EXPECT_THAT([&] { cut_into(table, 0); }, throws(ErrorKind::usage, "0 parts"));
}

}  // namespace
}  // namespace bitnet
