// Damages a file's bytes at random: every copy must open, or be refused for what it is.
#pragma once

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "common/error.h"

namespace bitnet::test {

// `open` gets 2,000 copies of `bytes` with one byte changed. Some must open, some must not, and none may fail without a name.
template <class Open>
void open_with_flipped_bytes(const std::string& bytes, const Open& open) {
  const std::uint32_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  int accepted = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string damaged = bytes;
    damaged[random() % bytes.size()] ^= static_cast<char>(1 + random() % 255);
    try {
      open(damaged);
      ++accepted;
    } catch (const Error& e) {
      EXPECT_NE(e.kind(), ErrorKind::runtime);
    }
  }
  EXPECT_GT(accepted, 0);
  EXPECT_LT(accepted, 2000);
}

}  // namespace bitnet::test
