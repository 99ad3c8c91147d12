// Embeddings: a text's vector depends on nothing but the text, and is what the file's pooling asks for.
#include <gmock/gmock.h>

#include <cmath>

#include "common/error.h"
#include "inference/engine.h"
#include "inference/pooling.h"
#include "kernels/dispatch.h"
#include "support/random_model.h"

namespace bitnet {
namespace {

using Vectors = std::vector<std::vector<float>>;

// Texts of 1 to 200 tokens, more than one batch takes.
std::vector<std::vector<TokenId>> some_texts() {
  std::mt19937 random(3);
  std::vector<std::vector<TokenId>> texts;
  for (const std::size_t n : {5, 1, 200, 64, 65, 2, 3, 7, 130, 9, 1, 1, 1, 4, 6, 33, 12, 1, 90, 2}) {
    texts.emplace_back();
    for (std::size_t i = 0; i < n; ++i) texts.back().push_back(static_cast<TokenId>(random() % 258));
  }
  return texts;
}

Vectors embed(const std::string& path, const std::vector<std::vector<TokenId>>& texts, EngineOptions engine_options,
              const EmbedOptions& options = {}) {
  engine_options.generates = false;
  const auto engine = Engine::open(path, engine_options);
  Vectors vectors;
  engine->embed(texts, options, [&](std::size_t text, std::span<const float> vector) {
    EXPECT_EQ(text, vectors.size());
    vectors.emplace_back(vector.begin(), vector.end());
  });
  return vectors;
}

TEST(Embed, VectorsDoNotDependOnHowTheyAreComputed) {
  const test::RandomModel models[] = {{.architecture = "qwen3", .input_norms = true},
                                      {.architecture = "gemma3", .window = 20, .input_norms = true}};
  for (const test::RandomModel& model : models) {
    const test::TempFile file(model.bytes());
    const auto texts = some_texts();
    for (const Pooling pooling : {Pooling::last, Pooling::mean, Pooling::cls}) {
      Vectors expected;
      for (const auto& text : texts) {
        expected.push_back(embed(file.path(), {text}, {.threads = 1, .isa = "scalar"}, {.pooling = pooling}).front());
      }
      for (const KernelTable* table : kernel_tables()) {
        for (const int threads : {1, 3}) {
          for (const std::int64_t chunk : {1, 50, 512}) {
            EXPECT_EQ(embed(file.path(), texts, {.threads = threads, .isa = table->name, .chunk = chunk}, {.pooling = pooling}),
                      expected)
                << model.architecture << " " << table->name << " " << threads << " threads, chunk " << chunk;
          }
        }
      }
    }
  }
}

TEST(Embed, EndsWhenCancelled) {
  const test::TempFile file(test::RandomModel{}.bytes());
  const std::atomic<bool> cancel{true};
  EXPECT_TRUE(embed(file.path(), some_texts(), {}, {.cancel = &cancel}).empty());
}

TEST(Embed, RefusesATextBeforeItComputesAny) {
  const test::TempFile file(test::RandomModel{.n_ctx = 64}.bytes());
  const auto engine = Engine::open(file.path(), {});
  const auto refused = [&](const std::vector<std::vector<TokenId>>& texts, ErrorKind kind, const std::string& fact) {
    EXPECT_THAT([&] { engine->embed(texts, {}, [](std::size_t, std::span<const float>) { FAIL(); }); },
                testing::Throws<Error>(testing::AllOf(testing::Property(&Error::kind, kind),
                                                      testing::Property(&Error::what, testing::HasSubstr(fact)))));
  };
  refused({{1, 2}, std::vector<TokenId>(65, 3)}, ErrorKind::too_big, "text 2 has 65 tokens, the context holds 64");
  refused({{1, 2}, {}}, ErrorKind::usage, "text 2 has no tokens");
  refused({{1, 258}}, ErrorKind::usage, "token 1 of text 1 is 258, allowed are 0 to 257");
}

TEST(PooledText, PoolsAsItsNameSays) {
  const std::vector<float> rows[] = {{3, 0}, {0, 8}, {3, 4}};
  const auto pooled = [&](Pooling pooling, bool normalise) {
    PooledText text(pooling, 3);
    for (std::int64_t i = 0; i < 3; ++i) {
      if (text.wants(i)) text.add(rows[i]);
    }
    return text.finish(normalise);
  };
  EXPECT_EQ(pooled(Pooling::cls, false), (std::vector<float>{3, 0}));
  EXPECT_EQ(pooled(Pooling::last, false), (std::vector<float>{3, 4}));
  EXPECT_EQ(pooled(Pooling::last, true), (std::vector<float>{0.6f, 0.8f}));
  EXPECT_EQ(pooled(Pooling::mean, false), (std::vector<float>{2, 4}));
  EXPECT_NEAR(pooled(Pooling::mean, true)[1], 2 / std::sqrt(5.0), 1e-7);
}

TEST(PooledText, ZerosStayZeros) {
  PooledText text(Pooling::mean, 1);
  text.add(std::vector<float>{0, 0});
  EXPECT_EQ(text.finish(true), (std::vector<float>{0, 0}));
}

}  // namespace
}  // namespace bitnet
