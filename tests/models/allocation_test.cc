// The reader never allocates more than 4 times a file's size and 16 MiB, whatever the file claims.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "common/error.h"
#include "models/gguf_reader.h"
#include "support/gguf_builder.h"

namespace {

std::atomic<std::uint64_t> allocated{0};  // bytes asked for so far by this program, given back or not

}  // namespace

void* operator new(std::size_t size) {
  allocated += size;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace bitnet {
namespace {

using test::GgufBuilder;

// Opens the bytes and, when they are a file, asks for the array `key` as integers.
void expect_bounded(const std::string& bytes, bool valid, const std::string& key = "") {
  const test::TempFile file(bytes);
  const std::uint64_t before = allocated;
  bool accepted = true;
  try {
    const GgufFile opened = GgufFile::open(file.path());
    accepted = key.empty() || !opened.find_integers(key).empty();
  } catch (const Error&) {
    accepted = false;
  }
  EXPECT_LE(allocated - before, 4 * bytes.size() + (16u << 20));
  EXPECT_EQ(accepted, valid);
}

std::string array_head(std::uint32_t type, std::uint64_t count) {
  return GgufBuilder::number(type) + GgufBuilder::number(count);
}

std::string smallest_tensors(std::uint32_t count, std::uint64_t bytes_each) {
  std::string table, data;
  for (std::uint32_t i = 0; i < count; ++i) {
    table += GgufBuilder::string(GgufBuilder::number(i % 128 | i / 128 % 128 << 8 | i / 16384 << 16).substr(0, 3)) +
             GgufBuilder::number(1u);
    table += GgufBuilder::number(std::uint64_t{1}) + GgufBuilder::number(0u) + GgufBuilder::number(i * bytes_each);
    data += std::string(bytes_each, '\0');
  }
  GgufBuilder b;
  b.u32("general.alignment", 8);
  std::string head = b.bytes();
  head.replace(8, 8, GgufBuilder::number(std::uint64_t{count}));
  head.resize(24 + 8 + 17 + 4 + 4);
  head += table;
  head.resize((head.size() + 7) / 8 * 8);
  return head + data;
}

TEST(GgufAllocation, StaysBoundedForTheSmallestStrings) {
  GgufBuilder b;
  b.entry("k", 9, array_head(8, 1000000) + std::string(8000000, '\0'));
  expect_bounded(b.bytes(), true);
}

TEST(GgufAllocation, StaysBoundedForIntegers) {
  GgufBuilder b;
  b.entry("k", 9, array_head(5, 4000000) + std::string(16000000, '\0'));
  expect_bounded(b.bytes(), true, "k");
  GgufBuilder narrow;
  narrow.entry("k", 9, array_head(0, 16000000) + std::string(16000000, '\0'));
  expect_bounded(narrow.bytes(), false, "k");
}

TEST(GgufAllocation, StaysBoundedForTheSmallestTensors) {
  expect_bounded(smallest_tensors(500000, 8), true);
  expect_bounded(smallest_tensors(500000, 0), false);
}

TEST(GgufAllocation, StaysBoundedForManyKeys) {
  GgufBuilder b;
  for (int i = 0; i < 60000; ++i) b.entry(fmt::format("{:x}", i), 0, "x");
  expect_bounded(b.bytes(), true);
}

TEST(GgufAllocation, StaysBoundedForCountsThatLie) {
  const std::string filler(4000000, '\0');
  for (const std::uint64_t count : {std::uint64_t{400000}, std::uint64_t{1} << 32, std::uint64_t{1} << 60, ~std::uint64_t{0}}) {
    for (const std::uint32_t type : {0u, 8u, 10u}) {
      GgufBuilder b;
      b.entry("k", 9, array_head(type, count));
      expect_bounded(b.bytes() + filler.substr(0, 3000000), count == 400000 && type == 0);
    }
    for (const std::size_t at : {8u, 16u}) {
      GgufBuilder b;
      b.u32("k", 1);
      std::string bytes = b.bytes() + filler;
      bytes.replace(at, 8, GgufBuilder::number(count));
      expect_bounded(bytes, false);
    }
  }
}

}  // namespace
}  // namespace bitnet
