// MappedFile refuses what is no regular file, without waiting.
#include "common/mapped_file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "common/error.h"
#include "support/gguf_builder.h"

namespace bitnet {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Property;

auto fails(ErrorKind kind, const char* text) {
  return testing::Throws<Error>(AllOf(Property(&Error::kind, kind), Property(&Error::what, HasSubstr(text))));
}

TEST(MappedFile, GivesTheBytes) {
  const test::TempFile file("hello");
  const MappedFile map = MappedFile::open(file.path());
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(map.bytes().data()), map.bytes().size()), "hello");
}

TEST(MappedFile, KeepsItsContentWhenPagesAreDiscarded) {
  const test::TempFile file(std::string(100000, 'x'));
  const MappedFile map = MappedFile::open(file.path());
  map.discard(map.bytes());
  EXPECT_EQ(map.bytes()[50000], std::byte{'x'});
}

TEST(MappedFile, NamesWhatItCannotOpen) {
  EXPECT_THAT([] { MappedFile::open("/nonexistent/model.gguf"); },
              fails(ErrorKind::not_found, "/nonexistent/model.gguf: cannot open"));
  EXPECT_THAT([] { MappedFile::open("/"); }, fails(ErrorKind::bad_model, "is a folder"));
  EXPECT_THAT([] { MappedFile::open("/dev/zero"); }, fails(ErrorKind::bad_model, "not a regular file"));
  const test::TempFile empty("");
  EXPECT_THAT([&] { MappedFile::open(empty.path()); }, fails(ErrorKind::bad_model, "is empty"));
}

TEST(MappedFile, DoesNotWaitOnAPipe) {
  const std::string path = testing::TempDir() + "bitnet-fifo-" + std::to_string(getpid());
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT([&] { MappedFile::open(path); }, fails(ErrorKind::bad_model, "not a regular file"));
  unlink(path.c_str());
}

}  // namespace
}  // namespace bitnet
