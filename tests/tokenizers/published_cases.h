// Compares a tokenizer with the published cases of the vocabulary it was read from.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "tokenizers/tokenizer.h"

namespace bitnet::test {

// The bytes of a file in the folder of published vocabularies, unpacked where its name ends in .gz; empty when it is not there.
inline std::string published_bytes(const std::string& name) {
  const std::filesystem::path path = std::filesystem::path(BITNET_SOURCE_DIR) / "../shared/oracle/tok" / name;
  if (!std::filesystem::exists(path)) return {};
  if (path.extension() != ".gz") {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  const auto close = [](FILE* pipe) { pclose(pipe); };
  const std::unique_ptr<FILE, decltype(close)> pipe(popen(("gzip -dc '" + path.string() + "'").c_str(), "r"), close);
  std::string bytes;
  char part[1 << 16];
  while (const std::size_t size = std::fread(part, 1, sizeof part, pipe.get())) bytes.append(part, size);
  return bytes;
}

// Every text gives the published ids, and those ids the published text.
inline void expect_published(const Tokenizer& tokenizer, const std::string& name) {
  const auto cases = nlohmann::json::parse(published_bytes(name + ".json"));
  ASSERT_FALSE(cases.empty());
  for (const auto& c : cases) {
    const auto ids = c["ids"].get<std::vector<TokenId>>();
    EXPECT_EQ(tokenizer.encode(c["text"].get<std::string>(), {.add_special = false, .parse_special = true}), ids) << c["text"];
    EXPECT_EQ(tokenizer.decode(ids, true), c["decoded"].get<std::string>()) << c["text"];
  }
}

}  // namespace bitnet::test
