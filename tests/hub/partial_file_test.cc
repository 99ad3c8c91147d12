// PartialFile: what it keeps, what it cuts off, and when its bytes get their name.
#include "models/hub/partial_file.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/error.h"
#include "models/hub/file_lock.h"

namespace bitnet::hub {
namespace {

namespace fs = std::filesystem;

class PartialFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "partial.XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const char* name) const { return folder_ + "/" + name; }
  std::string content(const char* name) const {
    std::ifstream in(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

  std::string folder_;
};

TEST_F(PartialFileTest, GoesOnWithWhatIsThere) {
  {
    PartialFile(path("x.incomplete"), 6, nullptr).append(bytes("abc"), "x");
  }
  EXPECT_EQ(content("x.incomplete"), "abc");
  PartialFile part(path("x.incomplete"), 6, nullptr);
  EXPECT_EQ(part.size(), 3u);
  part.append(bytes("def"), "x");
  Sha256 whole;
  whole.update("abcdef");
  EXPECT_EQ(part.sha256(), whole.hex());
  part.publish(path("x"));
  EXPECT_EQ(content("x"), "abcdef");
  EXPECT_FALSE(fs::exists(path("x.incomplete")));
}

TEST_F(PartialFileTest, TakesNotAByteMoreThanPromised) {
  PartialFile part(path("x.incomplete"), 4, nullptr);
  part.append(bytes("abc"), "x");
  EXPECT_THAT([&] { part.append(bytes("de"), "who"); },
              testing::ThrowsMessage<Error>("who: the server sends more than the 4 bytes it promised"));
  EXPECT_EQ(content("x.incomplete"), "abc");
}

TEST_F(PartialFileTest, CutsWhatIsTooLong) {
  std::ofstream(path("x.incomplete")) << "abcdef";
  EXPECT_EQ(PartialFile(path("x.incomplete"), 4, nullptr).size(), 4u);
  EXPECT_EQ(content("x.incomplete"), "abcd");
}

TEST_F(PartialFileTest, IsNoLinkAndNoFolder) {
  fs::create_symlink(path("victim"), path("x.incomplete"));
  EXPECT_THROW(PartialFile(path("x.incomplete"), 4, nullptr), Error);
  EXPECT_FALSE(fs::exists(path("victim")));
  fs::create_directory(path("y.incomplete"));
  EXPECT_THROW(PartialFile(path("y.incomplete"), 4, nullptr), Error);
}

TEST_F(PartialFileTest, WaitsForItsLockUntilCancelled) {
  const PartialFile holder(path("x.incomplete"), 4, nullptr);
  const std::atomic<bool> cancel = true;
  EXPECT_THAT([&] { PartialFile(path("x.incomplete"), 4, &cancel); }, testing::ThrowsMessage<Error>("interrupted"));
}

TEST_F(PartialFileTest, ALockIsHeldByOne) {
  auto first = FileLock::attempt(path("x.lock"));
  ASSERT_TRUE(first);
  EXPECT_FALSE(FileLock::attempt(path("x.lock")));
  first.reset();
  EXPECT_TRUE(FileLock::attempt(path("x.lock")));
}

}  // namespace
}  // namespace bitnet::hub
