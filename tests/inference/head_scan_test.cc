// The scan must find what the full head would, to the bit: highest logits, margins, ids asked for; and sampling on it draws the
// same.
#include "inference/head_scan.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>
#include <random>

#include "common/half.h"
#include "inference/sampler.h"
#include "kernels/dispatch.h"
#include "support/gguf_builder.h"

namespace bitnet {
namespace {

constexpr std::int64_t rows = 5000, cols = 200;

// A head in float16 and inputs of several kinds, with the full logits.
class HeadScanTest : public testing::TestWithParam<int> {
 protected:
  HeadScanTest() : pool_(GetParam()), random_(7) {
    weights_.resize(static_cast<std::size_t>(rows * cols));
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      const float row_scale = 0.02f * static_cast<float>(1 + i / static_cast<std::size_t>(cols) % 7);
      weights_[i] = f32_to_f16(row_scale * normal());
    }
    head_ = {DataType::f16, reinterpret_cast<const std::byte*>(weights_.data()), rows, cols, 2 * cols};
    file_.emplace(std::string(reinterpret_cast<const char*>(weights_.data()), weights_.size() * sizeof(std::uint16_t)));
    map_.emplace(MappedFile::open(file_->path()));
    table_ = RowTable({"output.weight", {DataType::f16, {{rows, cols}}, map_->bytes()}}, *map_, pool_,
                      GetParam() == 1 ? RowTable::copied_up_to : 0);
    scan_ = HeadScan(head_, kernels_, pool_);
  }

  float normal() { return std::normal_distribution<float>()(random_); }

  // Kind 0 is plain noise, 1 has an outlier, 2 points along a row, so that one logit stands out.
  std::vector<float> input(int kind) {
    std::vector<float> x(static_cast<std::size_t>(cols));
    for (float& value : x) value = normal();
    if (kind == 1) x[17] *= 60;
    const std::size_t row = random_() % rows;
    for (std::size_t c = 0; kind == 2 && c < x.size(); ++c) x[c] += 40 * f16_to_f32(weights_[row * x.size() + c]);
    return x;
  }

  std::vector<float> full(const std::vector<float>& x) {
    std::vector<float> y(static_cast<std::size_t>(rows));
    kernels_.dense_matmul(head_, 0, rows, x.data(), 1, cols, y.data(), rows, compute_.scratch[0].data());
    return y;
  }

  std::optional<LogitSet> find(const float* x, const LogitQuery& query) {
    return scan_.find(table_, x, std::span(&query, 1), compute_, std::span(memory_).first(1)).front();
  }

  const KernelTable& kernels_ = *kernel_tables().back();
  ThreadPool pool_;
  Compute compute_{kernels_, pool_, cols, 64};
  std::mt19937 random_;
  std::vector<std::uint16_t> weights_;
  DenseMatrix head_{};
  std::optional<test::TempFile> file_;
  std::optional<MappedFile> map_;
  RowTable table_;  // copied for one thread, in the file for several
  HeadScan scan_;
  std::vector<HeadScan::Memory> memory_{4};
};

// What a query gets does not depend on those beside it, answerable or not.
TEST_P(HeadScanTest, AnswersSeveralQueriesAsIfEachWereAlone) {
  std::vector<float> inputs;
  for (int kind = 0; kind < 3; ++kind) {
    const std::vector<float> x = input(kind);
    inputs.insert(inputs.end(), x.begin(), x.end());
  }
  inputs.resize(4 * static_cast<std::size_t>(cols), std::numeric_limits<float>::quiet_NaN());
  const std::vector<LogitQuery> queries = {
      {.count = 40}, {.count = 0}, {.count = 1, .margin = 2, .also = {3, 7}}, {.count = 5}};
  const auto together = scan_.find(table_, inputs.data(), queries, compute_, memory_);
  ASSERT_EQ(together.size(), 4u);
  EXPECT_FALSE(together[1]) << "every logit was asked for";
  EXPECT_FALSE(together[3]) << "the input is not finite";
  std::vector<HeadScan::Memory> other(1);
  for (const std::size_t i : {0u, 2u}) {
    const float* x = inputs.data() + static_cast<std::int64_t>(i) * cols;
    const auto alone = scan_.find(table_, x, std::span(queries).subspan(i, 1), compute_, other).front();
    ASSERT_TRUE(together[i] && alone) << i;
    EXPECT_TRUE(std::ranges::equal(together[i]->ids, alone->ids)) << i;
    EXPECT_TRUE(std::ranges::equal(together[i]->values, alone->values)) << i;
  }
}

TEST_P(HeadScanTest, HoldsTheHighestWithTheBitsOfTheFullHead) {
  ASSERT_TRUE(scan_.usable());
  std::size_t admitted = 0;
  for (int round = 0; round < 60; ++round) {
    const std::vector<float> x = input(round % 3), y = full(x);
    std::vector<TokenId> order(y.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](TokenId a, TokenId b) { return y[static_cast<std::size_t>(a)] > y[static_cast<std::size_t>(b)]; });
    for (const std::int64_t count : {1, 40}) {
      const LogitQuery query{.count = count, .margin = round % 2 == 0 ? 0.0f : 0.5f, .also = {4999, 0, 4999}};
      const auto found = find(x.data(), query);
      ASSERT_TRUE(found) << "round " << round;
      admitted += found->size();
      ASSERT_TRUE(std::is_sorted(found->ids.begin(), found->ids.end()));
      for (std::size_t i = 0; i < found->size(); ++i) {
        ASSERT_EQ(found->values[i], y[static_cast<std::size_t>(found->ids[i])]) << "token " << found->ids[i];
      }
      const auto holds = [&](TokenId id) { return std::binary_search(found->ids.begin(), found->ids.end(), id); };
      const float lowest = y[static_cast<std::size_t>(order[static_cast<std::size_t>(count) - 1])] - query.margin;
      for (const TokenId id : order) {
        if (y[static_cast<std::size_t>(id)] < lowest) break;
        ASSERT_TRUE(holds(id)) << "token " << id << " of round " << round;
      }
      ASSERT_TRUE(holds(0) && holds(4999));
    }
  }
  EXPECT_LT(admitted, 120 * rows / 10) << "a bound that admits everything proves nothing";
}

TEST_P(HeadScanTest, LeavesToTheFullHeadWhatItCannotBound) {
  std::vector<float> x = input(0);
  EXPECT_FALSE(find(x.data(), {})) << "every logit was asked for";
  EXPECT_FALSE(find(x.data(), {.count = rows}));
  EXPECT_FALSE(find(x.data(), {.count = 1, .margin = 1e9f}));
  x[3] = NAN;
  EXPECT_FALSE(find(x.data(), {.count = 1}));
  EXPECT_FALSE(find(std::vector<float>(cols).data(), {.count = 1})) << "all are equal";
  x = input(0);
  for (float& value : x) value *= 1e31f;
  EXPECT_FALSE(find(x.data(), {.count = 1})) << "too large for a bound that cannot overflow";
}

TEST_P(HeadScanTest, IsNotUsedWhereARowIsNotFinite) {
  weights_[1234] = 0x7c00;  // infinity
  EXPECT_FALSE(HeadScan(head_, kernels_, pool_).usable());
}

TEST_P(HeadScanTest, SamplesTheSameTokens) {
  std::vector<SamplingParams> settings(6);
  settings[0].temperature = 0;
  settings[2].top_k = 0, settings[2].top_p = 1;
  settings[3].repeat_penalty = 1.3f, settings[3].frequency_penalty = 0.2f, settings[3].temperature = 0;
  settings[4].typical_p = 0.5f, settings[4].presence_penalty = -1.5f;
  settings[5].top_k = 0, settings[5].top_p = 1, settings[5].min_p = 0.2f, settings[5].repeat_penalty = 0.5f;
  settings[5].logit_bias = {{17, 8.0f}, {100, -INFINITY}};
  std::vector<TokenId> history;
  for (int i = 0; i < 30; ++i) history.push_back(static_cast<TokenId>(random_() % rows));
  int scanned = 0;
  for (std::size_t s = 0; s < settings.size(); ++s) {
    Sampler sampler(settings[s], rows);
    for (std::uint64_t round = 0; round < 40; ++round) {
      const std::vector<float> x = input(static_cast<int>(round % 3)), y = full(x);
      const auto found = find(x.data(), sampler.query(history));
      if (!found) continue;
      ++scanned;
      ASSERT_EQ(sampler.sample(*found, history, round), sampler.sample({{}, y}, history, round)) << "setting " << s;
    }
  }
  EXPECT_GT(scanned, 200) << "of 240";
}

INSTANTIATE_TEST_SUITE_P(Threads, HeadScanTest, testing::Values(1, 3));

TEST(SamplerQuery, AsksForEverythingWhereEveryTokenCounts) {
  SamplingParams params;
  params.top_k = 0;
  EXPECT_EQ(Sampler(params, 10).query({}).count, 0) << "top-p alone compares with the sum of all";
  params.temperature = 0;
  EXPECT_EQ(Sampler(params, 10).query({}).count, 1);
  params = {};
  EXPECT_EQ(Sampler(params, 10).query({}).count, 40);
  params.repeat_penalty = 1.1f;
  const std::vector<TokenId> history = {3, 4};
  EXPECT_EQ(Sampler(params, 10).query(history).count, 42) << "each changed logit may push one out";
  EXPECT_THAT(Sampler(params, 10).query(history).also, testing::ElementsAre(3, 4));
}

}  // namespace
}  // namespace bitnet
