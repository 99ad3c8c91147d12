// Sha256 against the examples that NIST publishes with FIPS 180-4 and its CAVP test files.
#include "common/sha256.h"

#include <gmock/gmock.h>

#include <random>

namespace bitnet {
namespace {

std::string sha256(std::string_view text) {
  Sha256 hash;
  hash.update(text);
  return hash.hex();
}

TEST(Sha256, EqualsThePublishedExamples) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(
      sha256(
          "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"),
      "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  EXPECT_EQ(sha256(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, HashesMegabytesOfZeros) {
  Sha256 hash;
  const std::string part(1 << 16, '\0');  // 64 times, 4 MiB in all
  for (int i = 0; i < 1 << 6; ++i) hash.update(part);
  EXPECT_EQ(hash.hex(), "bb9f8df61474d25e71fa00722318cd387396ca1736605e1248821cc0de3d3af8");
}

TEST(Sha256, DoesNotDependOnHowTheBytesAreCut) {
  const unsigned seed = 7;
  std::mt19937 random(seed);
  std::string text(1000, '\0');
  for (char& c : text) c = static_cast<char>(random());
  for (std::size_t size : {55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 129, 1000}) {
    const std::string whole = sha256(std::string_view(text).substr(0, size));
    for (int trial = 0; trial < 20; ++trial) {
      Sha256 hash;
      for (std::size_t at = 0; at < size;) {
        const std::size_t part = std::min<std::size_t>(size - at, random() % 130);
        hash.update(std::string_view(text).substr(at, part));
        at += part;
      }
      EXPECT_EQ(hash.hex(), whole) << "size " << size << ", seed " << seed;
    }
  }
}

TEST(Sha256, GoesOnAfterADigest) {
  Sha256 hash;
  hash.update("a");
  EXPECT_EQ(hash.hex(), sha256("a"));
  Sha256 copy = hash;
  hash.update("bc");
  copy.update("x");
  EXPECT_EQ(hash.hex(), sha256("abc"));
  EXPECT_EQ(copy.hex(), sha256("ax"));
}

TEST(Sha256, KnowsHowADigestIsWritten) {
  EXPECT_TRUE(is_sha256_hex(sha256("")));
  EXPECT_FALSE(is_sha256_hex(sha256("") + "0"));
  EXPECT_FALSE(is_sha256_hex(std::string(64, 'A')));
  EXPECT_FALSE(is_sha256_hex(std::string(64, 'g')));
  EXPECT_FALSE(is_sha256_hex(""));
}

}  // namespace
}  // namespace bitnet
