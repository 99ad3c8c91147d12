// Ten thousand positions of the default model and of a random one: is a token drawn from what the scan of the head finds the
// one drawn from all logits?
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "inference/engine.h"
#include "inference/transformer.h"
#include "kernels/dispatch.h"
#include "support/random_model.h"

namespace bitnet {
namespace {

constexpr std::int64_t sequence_length = 500;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::int64_t sequences = 1;  // they make it ten times slower
#else
constexpr std::int64_t sequences = 20;
#endif

// Greedy, the defaults, a wide top-p, penalties, and a bias.
std::vector<SamplingParams> settings() {
  std::vector<SamplingParams> all(5);
  all[0].temperature = 0;
  all[2].top_k = 400, all[2].top_p = 0.9f, all[2].min_p = 0, all[2].temperature = 1.5f;
  all[3].top_k = 5, all[3].repeat_penalty = 1.3f, all[3].presence_penalty = 0.5f;
  all[4].temperature = 0, all[4].logit_bias = {{7, 3.0f}, {300, -5.0f}}, all[4].frequency_penalty = 0.7f;
  return all;
}

std::string in_project(const char* name) { return (std::filesystem::path(BITNET_SOURCE_DIR) / name).string(); }

// The project's own documents, and random ids behind them.
std::vector<TokenId> ids_for(const std::string& model) {
  const auto engine = Engine::open(model, {.threads = 1});
  std::vector<TokenId> ids;
  for (const char* name : {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/formats.md"}) {
    std::ostringstream text;
    text << std::ifstream(in_project(name)).rdbuf();
    const std::vector<TokenId> part =
        engine->tokenizer() == nullptr ? std::vector<TokenId>() : engine->tokenizer()->encode(text.str());
    ids.insert(ids.end(), part.begin(), part.end());
  }
  std::mt19937 random(7);
  while (ids.size() < sequence_length * sequences)
    ids.push_back(static_cast<TokenId>(random() % static_cast<std::uint32_t>(engine->config().n_vocab)));
  return ids;
}

void expect_equal_draws(const std::string& path) {
  const std::vector<TokenId> ids = ids_for(path);
  ThreadPool pool(1);
  Model model = Model::open(path);
  const PreparedModel prepared = prepare(model, *kernel_tables().back(), pool);
  const ModelConfig& c = prepared.config;
  ASSERT_TRUE(prepared.head_scan.usable());
  Transformer transformer(prepared, *kernel_tables().back(), pool, sequence_length);
  std::vector<Sampler> samplers;
  for (const SamplingParams& params : settings()) samplers.emplace_back(params, c.n_vocab);
  const std::size_t count = samplers.size();
  std::size_t different = 0, scanned = 0;
  for (std::int64_t s = 0; s < sequences; ++s) {
    const auto sequence = std::span(ids).subspan(static_cast<std::size_t>(s * sequence_length), sequence_length);
    KvPages pages({KvType::f16, c.n_layer, c.n_head_kv, c.head_dim});
    KvCache cache(pages, c.n_ctx);
    cache.reserve(sequence_length);
    std::vector<BatchToken> batch;
    for (std::int64_t i = 0; i < sequence_length; ++i) batch.push_back({sequence[static_cast<std::size_t>(i)], &cache, i});
    transformer.forward(batch);
    for (std::int64_t i = 0; i < sequence_length; ++i) {
      const auto history = sequence.first(static_cast<std::size_t>(i) + 1);
      const auto position = static_cast<std::uint64_t>(s * sequence_length + i);
      std::vector<TokenId> drawn;
      for (Sampler& sampler : samplers) {
        const LogitSet found = transformer.find_logits(i, sampler.query(history));
        scanned += found.ids.empty() ? 0 : 1;
        drawn.push_back(sampler.sample(found, history, position));
      }
      const LogitSet all{{}, transformer.logits(i, 1)};
      for (std::size_t k = 0; k < count; ++k) different += samplers[k].sample(all, history, position) == drawn[k] ? 0 : 1;
    }
  }
  EXPECT_EQ(different, 0u);
  EXPECT_GT(scanned, count * sequence_length * sequences / 2) << "the scan hardly ever answered";
}

TEST(HeadExactness, OfTheDefaultModel) { expect_equal_draws(in_project("models/default.gguf")); }

TEST(HeadExactness, OfARandomModel) {
  const test::TempFile file(test::RandomModel{.n_vocab = 4096, .tokenizer = false}.bytes());
  expect_equal_draws(file.path());
}

// Its embedding is scaled where it is looked up, not where it is the head.
TEST(HeadExactness, OfAModelWithAScaledEmbedding) {
  const test::RandomModel model{.architecture = "gemma3", .n_vocab = 4096, .window = 60, .tokenizer = false};
  const test::TempFile file(model.bytes());
  expect_equal_draws(file.path());
}

}  // namespace
}  // namespace bitnet
