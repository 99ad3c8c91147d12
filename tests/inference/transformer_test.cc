// The Exact promise inside the engine: logits do not depend on threads, chunks, instruction set or who shares the batch.
#include "inference/transformer.h"

#include <gtest/gtest.h>

#include "inference/engine.h"
#include "kernels/dispatch.h"
#include "support/random_model.h"

namespace bitnet {
namespace {

std::vector<TokenId> some_ids(std::int64_t n, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<TokenId> ids;
  for (std::int64_t i = 0; i < n; ++i) ids.push_back(static_cast<TokenId>(random() % 258));
  return ids;
}

std::vector<float> all_logits(const std::string& path, const std::vector<TokenId>& ids, const EngineOptions& options) {
  const auto engine = Engine::open(path, options);
  std::vector<float> out;
  engine->logits(ids, options.chunk, [&](std::int64_t position, std::span<const float> logits) {
    EXPECT_EQ(out.size(), static_cast<std::size_t>(position) * logits.size());
    out.insert(out.end(), logits.begin(), logits.end());
  });
  return out;
}

class Exactness : public testing::TestWithParam<KvType> {};

TEST_P(Exactness, LogitsDoNotDependOnHowTheyAreComputed) {
  const test::RandomModel models[] = {{.architecture = "bitnet-b1.58"},
                                      {.architecture = "llama"},
                                      {.architecture = "qwen3", .input_norms = true},
                                      {.architecture = "gemma3", .window = 70},
                                      {.architecture = "gemma3", .window = 9, .input_norms = true}};
  for (const test::RandomModel& model : models) {
    const test::TempFile file(model.bytes());
    const std::vector<TokenId> ids = some_ids(150, 5);
    const std::vector<float> expected =
        all_logits(file.path(), ids, {.threads = 1, .isa = "scalar", .kv = GetParam(), .chunk = 512});
    for (const KernelTable* table : kernel_tables()) {
      for (const int threads : {1, 2, 3}) {
        for (const std::int64_t chunk : {1, 7, 64, 512}) {
          const EngineOptions options{.threads = threads, .isa = table->name, .kv = GetParam(), .chunk = chunk};
          EXPECT_EQ(all_logits(file.path(), ids, options), expected)
              << model.architecture << " " << table->name << " " << threads << " threads, chunk " << chunk;
        }
      }
    }
  }
}

void expect_spans_to_merge(const test::RandomModel& model, KvType kv) {
  const test::TempFile file(model.bytes());
  const std::vector<TokenId> ids = some_ids(700, 9);
  const std::vector<float> expected = all_logits(file.path(), ids, {.threads = 1, .isa = "scalar", .kv = kv, .chunk = 512});
  for (const KernelTable* table : kernel_tables()) {
    for (const int threads : {1, 3}) {
      for (const std::int64_t chunk : {1, 9, 512}) {
        const EngineOptions options{.threads = threads, .isa = table->name, .kv = kv, .chunk = chunk};
        EXPECT_EQ(all_logits(file.path(), ids, options), expected)
            << table->name << " " << threads << " threads, chunk " << chunk;
      }
    }
  }
}

// Long enough that a query's positions lie in several spans, which threads share or not.
TEST_P(Exactness, SpansOfAttentionMergeTheSameHoweverTheyAreShared) { expect_spans_to_merge({.n_ctx = 1024}, GetParam()); }

// A window over parts of three spans, one that ends with a chunk, and one wider than the context.
TEST_P(Exactness, SpansInAWindowMergeTheSameHoweverTheyAreShared) {
  for (const std::uint32_t window : {300u, 64u, 5000u})
    expect_spans_to_merge({.architecture = "gemma3", .n_ctx = 1024, .window = window}, GetParam());
}

INSTANTIATE_TEST_SUITE_P(KvTypes, Exactness, testing::Values(KvType::f32, KvType::f16, KvType::int8), [](const auto& tested) {
  return std::string(tested.param == KvType::f32 ? "f32" : tested.param == KvType::f16 ? "f16" : "int8");
});

TEST(Transformer, SequencesInOneBatchDoNotTouchEachOther) {
  const test::TempFile file(test::RandomModel{}.bytes());
  ThreadPool pool(2);
  Model model = Model::open(file.path());
  const PreparedModel prepared = prepare(model, *kernel_tables().back(), pool);
  const ModelConfig& c = prepared.config;
  Transformer transformer(prepared, *kernel_tables().back(), pool, 256);
  const std::vector<TokenId> a = some_ids(90, 1), b = some_ids(70, 2);
  KvPages pages({KvType::f16, c.n_layer, c.n_head_kv, c.head_dim});
  const auto cache = [&] {
    auto made = std::make_unique<KvCache>(pages, c.n_ctx);
    made->reserve(128);
    return made;
  };
  const auto alone = [&](const std::vector<TokenId>& ids) {
    const auto kv = cache();
    std::vector<BatchToken> batch;
    for (std::size_t i = 0; i < ids.size(); ++i) batch.push_back({ids[i], kv.get(), static_cast<std::int64_t>(i)});
    transformer.forward(batch);
    const auto logits = transformer.logits(static_cast<std::int64_t>(ids.size()) - 1, 1);
    return std::vector<float>(logits.begin(), logits.end());
  };
  const std::vector<float> alone_a = alone(a), alone_b = alone(b);

  const auto kv_a = cache(), kv_b = cache();
  std::vector<BatchToken> batch;
  for (std::size_t i = 0; i < a.size(); ++i) batch.push_back({a[i], kv_a.get(), static_cast<std::int64_t>(i)});
  for (std::size_t i = 0; i < b.size(); ++i) batch.push_back({b[i], kv_b.get(), static_cast<std::int64_t>(i)});
  transformer.forward(batch);
  const auto logits_a = transformer.logits(static_cast<std::int64_t>(a.size()) - 1, 1);
  EXPECT_EQ(std::vector<float>(logits_a.begin(), logits_a.end()), alone_a);
  const auto logits_b = transformer.logits(static_cast<std::int64_t>(a.size() + b.size()) - 1, 1);
  EXPECT_EQ(std::vector<float>(logits_b.begin(), logits_b.end()), alone_b);
}

TEST(Transformer, LeavingZerosUnreadChangesNoBit) {
  const test::TempFile file(test::RandomModel{}.bytes());
  ThreadPool pool(3);
  Model model = Model::open(file.path());
  PreparedModel prepared = prepare(model, *kernel_tables().back(), pool);
  const ModelConfig& c = prepared.config;
  for (PreparedLayer& layer : prepared.layers) layer.down_columns = *turn_over(layer.ffn_down, pool);
  const std::vector<TokenId> ids = some_ids(40, 3);
  HiddenZeros zeros;
  const auto logits_with = [&](SparseLimits limits) {
    prepared.sparse_limits = limits;
    Transformer transformer(prepared, *kernel_tables().back(), pool, 1);
    KvPages pages({KvType::f16, c.n_layer, c.n_head_kv, c.head_dim});
    KvCache cache(pages, c.n_ctx);
    cache.reserve(64);
    std::vector<float> all;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const BatchToken token{ids[i], &cache, static_cast<std::int64_t>(i)};
      transformer.forward({&token, 1});
      cache.set_length(static_cast<std::int64_t>(i) + 1);
      const auto logits = transformer.logits(0, 1);
      all.insert(all.end(), logits.begin(), logits.end());
    }
    zeros = transformer.hidden_zeros();
    return all;
  };
  const std::vector<float> expected = logits_with({0, 0});
  EXPECT_EQ(zeros.bytes_skipped, 0);
  EXPECT_EQ(zeros.values, 40 * c.n_layer * c.n_ff);
  EXPECT_GT(zeros.closed_gates, zeros.values / 4);
  EXPECT_GE(zeros.zeros, zeros.closed_gates);
  EXPECT_LT(zeros.zeros, zeros.values);
  for (const SparseLimits limits : {SparseLimits{1, 0}, SparseLimits{0, 1}, SparseLimits{1, 1}, SparseLimits{0.5, 0.3}}) {
    EXPECT_EQ(logits_with(limits), expected) << limits.rows << " " << limits.columns;
    if (limits.rows == 1 || limits.columns == 1) {
      EXPECT_GT(zeros.bytes_skipped, 0);
    }
  }
}

TEST(SparseLimits, AreSharesAndZeroWithoutLayers) {
  ThreadPool pool(2);
  EXPECT_EQ(measure_sparse_limits({}, scalar_table(), pool).rows, 0);
  const test::TempFile file(test::RandomModel{}.bytes());
  Model model = Model::open(file.path());
  PreparedModel prepared = prepare(model, *kernel_tables().back(), pool);
  PreparedLayer& layer = prepared.layers.front();
  layer.down_columns = *turn_over(layer.ffn_down, pool);
  const SparseSample sample{&layer.gate_up.parts()[1].ternary, &layer.ffn_down.parts()[0].ternary, &layer.down_columns.matrix};
  for (const KernelTable* table : kernel_tables()) {
    const SparseLimits limits = measure_sparse_limits({&sample, 1}, *table, pool);
    EXPECT_TRUE(limits.rows > 0 && limits.rows <= 1 && limits.columns > 0 && limits.columns <= 1) << table->name;
  }
}

}  // namespace
}  // namespace bitnet
