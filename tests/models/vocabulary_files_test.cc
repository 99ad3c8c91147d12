// Vocabulary-only files as converters write them: no tensors, a hundred thousand strings, read in a blink.
#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>

#include "models/gguf_reader.h"
#include "support/gguf_builder.h"

namespace bitnet {
namespace {

std::string gunzip(const std::string& path) {
  std::string out, part(1 << 16, '\0');
  const gzFile in = gzopen(path.c_str(), "rb");
  for (int n; in != nullptr && (n = gzread(in, part.data(), static_cast<unsigned>(part.size()))) > 0;)
    out.append(part, 0, static_cast<std::size_t>(n));
  if (in != nullptr) gzclose(in);
  return out;
}

TEST(VocabularyFiles, OpenWithoutTensors) {
  const std::filesystem::path folder = BITNET_SOURCE_DIR "/../shared/oracle/tok/tokenizers";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no vocabularies in " << folder;
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::filesystem::path packed = entry.path() / "vocab.gguf.gz";
    if (!std::filesystem::exists(packed)) continue;
    const test::TempFile temp(gunzip(packed));
    const GgufFile file = GgufFile::open(temp.path());
    EXPECT_TRUE(file.tensors().empty()) << packed;
    const std::size_t n_tokens = file.find_strings("tokenizer.ggml.tokens").size();
    EXPECT_GT(n_tokens, 1000u) << packed;
    EXPECT_EQ(file.find_integers("tokenizer.ggml.token_type").size(), n_tokens) << packed;
    ++files;
  }
  EXPECT_GT(files, 5);
}

}  // namespace
}  // namespace bitnet
