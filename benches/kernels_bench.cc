// How fast is each kernel, in bytes of weights or cache, or multiply-adds a second, beside what the machine's memory gives?
//
// bitnet-kernels-bench [Google Benchmark's flags]. Shapes are the 2B model's. Weights rotate through more memory than the
// caches hold, as a model's layers do. Names: kernel/table/.../threads:N.
#include <benchmark/benchmark.h>
#ifdef BITNET_HAVE_X86
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstring>
#include <random>

#include "common/buffer.h"
#include "common/thread_pool.h"
#include "inference/attention.h"
#include "inference/engine.h"
#include "inference/sparse_ffn.h"
#include "kernels/dispatch.h"
#include "kernels/ternary_layout.h"

namespace bitnet {
namespace {

constexpr std::int64_t n_embd = 2560, n_ff = 6912, n_vocab = 128256;
constexpr std::int64_t copies = 48;  // of an (n_ff, n_embd) matrix: 212 MB

// Random matrices of one shape; any bytes without a code of 3 are weights.
struct Weights {
  Weights(std::int64_t n, std::int64_t inputs)
      : bytes_each(ternary_lines_bytes(n, inputs)),
        memory(static_cast<std::size_t>(copies * bytes_each)),
        scales(static_cast<std::size_t>(n), 1.0f),
        rows(n),
        cols(inputs) {
    std::mt19937_64 random(1);
    for (std::int64_t i = 0; i < copies * bytes_each / 8; ++i) {
      const std::uint64_t bits = random();
      memory.as<std::uint64_t>()[i] = bits & ~((bits & 0x5555555555555555) << 1);
    }
  }
  TernaryMatrix at(std::int64_t i) const {
    return {memory.as<std::uint8_t>() + i % copies * bytes_each, scales.data(), rows, cols};
  }

  std::int64_t bytes_each;
  Buffer memory;
  std::vector<float> scales;
  std::int64_t rows, cols;
};

const Weights& wide() {
  static const Weights weights(n_ff, n_embd);
  return weights;
}

// Activations, a share of which is zero.
struct Input {
  Input(std::int64_t tokens, std::int64_t cols, double zeros = 0)
      : memory(static_cast<std::size_t>(tokens * cols)),
        scales(static_cast<std::size_t>(tokens), 1.0f),
        sums(static_cast<std::size_t>(tokens)) {
    std::mt19937 random(2);
    auto* q = memory.as<std::int8_t>();
    for (std::size_t i = 0; i < memory.size(); ++i) {
      const bool zero = std::uniform_real_distribution<>()(random) < zeros;
      q[i] = zero ? std::int8_t{0} : static_cast<std::int8_t>(random() % 127 + 1);
      sums[i / static_cast<std::size_t>(cols)] += q[i];
    }
    rows = {q, scales.data(), sums.data(), tokens, cols};
  }

  Buffer memory;
  std::vector<float> scales;
  std::vector<std::int32_t> sums;
  QuantisedRows rows{};
};

void rate(benchmark::State& state, const char* name, double per_iteration) {
  state.counters[name] =
      benchmark::Counter(per_iteration, benchmark::Counter::kIsIterationInvariantRate, benchmark::Counter::OneK::kIs1000);
}

void ternary(benchmark::State& state, const KernelTable& table, std::int64_t tokens) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  const Weights& weights = wide();
  const Input input(tokens, n_embd);
  std::vector<float> y(static_cast<std::size_t>(tokens * n_ff));
  std::vector<Buffer> scratch;
  for (int i = 0; i < pool.threads(); ++i) scratch.emplace_back(static_cast<std::size_t>(kernel_scratch_bytes(n_embd, 128)));
  std::int64_t i = 0;
  for (auto _ : state) {
    const TernaryMatrix w = weights.at(i++);
    pool.run([&](int part, int parts) {
      const auto [begin, end] = ThreadPool::part(n_ff, 16, part, parts);
      table.ternary_matmul(w, begin, end, input.rows, y.data(), n_ff, scratch[static_cast<std::size_t>(part)].data());
    });
  }
  rate(state, "B/s", static_cast<double>(weights.bytes_each));
  rate(state, "MAC/s", static_cast<double>(n_ff * n_embd * tokens));
}

// The rows of `up` whose gate is open.
void ternary_rows(benchmark::State& state, const KernelTable& table, double share) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  const Weights& weights = wide();
  const Input input(1, n_embd), gate(1, n_ff, 1 - share);
  std::vector<float> y(n_ff);
  std::vector<std::int32_t> rows(n_ff);  // each thread has its part
  std::int64_t i = 0;
  for (auto _ : state) {
    const TernaryMatrix w = weights.at(i++);
    pool.run([&](int part, int parts) {
      const auto [begin, end] = ThreadPool::part(n_ff, 16, part, parts);
      std::int32_t* picked = rows.data() + begin;
      const std::int64_t count = pick(begin, end, [&](std::int64_t r) { return gate.rows.q[r] != 0; }, picked);
      table.ternary_rows(w, picked, count, input.rows, y.data());
    });
  }
  rate(state, "B/s", static_cast<double>(weights.bytes_each) * share);
  rate(state, "dense B/s", static_cast<double>(weights.bytes_each));
}

// The columns of `down` whose input is not zero; weights stand transposed.
void ternary_combine(benchmark::State& state, const KernelTable& table, double share) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  const Weights& weights = wide();
  const Input input(1, n_ff, 1 - share);
  std::vector<std::vector<std::int32_t>> sums(static_cast<std::size_t>(pool.threads()), std::vector<std::int32_t>(n_embd));
  std::vector<std::int32_t> rows(n_ff);  // each thread has its part
  std::int64_t i = 0;
  for (auto _ : state) {
    const TernaryMatrix w = weights.at(i++);
    pool.run([&](int part, int parts) {
      const auto [begin, end] = ThreadPool::part(n_ff, 16, part, parts);
      std::int32_t* picked = rows.data() + begin;
      const std::int64_t count = pick(begin, end, [&](std::int64_t r) { return input.rows.q[r] != 0; }, picked);
      table.ternary_combine(w, picked, count, input.rows.q, sums[static_cast<std::size_t>(part)].data());
    });
  }
  rate(state, "B/s", static_cast<double>(weights.bytes_each) * share);
  rate(state, "dense B/s", static_cast<double>(weights.bytes_each));
}

void six_bit_scan(benchmark::State& state, const KernelTable& table, std::int64_t inputs) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  static Buffer rows = [] {
    Buffer buffer(static_cast<std::size_t>(n_vocab * n_embd / six_bit_block_cols * six_bit_block_bytes));
    std::memset(buffer.data(), 3, buffer.size());  // zero pages would all be one page of memory
    return buffer;
  }();
  constexpr std::int64_t block = 64;
  std::vector<std::int8_t> x(static_cast<std::size_t>(2 * inputs * n_embd), 50);
  for (auto _ : state) {
    pool.split(n_vocab / block, 1, [&](std::int64_t begin, std::int64_t end) {
      std::vector<std::int32_t> y(static_cast<std::size_t>(inputs * block));
      for (std::int64_t b = begin; b < end; ++b) {
        table.six_bit_scan(rows.as<std::uint8_t>(), n_embd, b * block, (b + 1) * block, x.data(), inputs, y.data(), block);
      }
    });
  }
  rate(state, "B/s", static_cast<double>(rows.size()));
  rate(state, "MAC/s", static_cast<double>(n_vocab * n_embd * inputs));
}

// `tokens` tokens behind `depth` others, group of four heads to each of five kv heads, through more layers than the caches
// hold.
void attend(benchmark::State& state, const KernelTable& table, KvType type, std::int64_t depth, std::int64_t tokens) {
  constexpr std::int64_t heads = 20, kv_heads = 5, head_dim = 128;
  const std::int64_t layers = tokens == 1 ? 30 : 2, positions = depth + tokens;
  ModelConfig config;
  config.n_head = heads, config.n_head_kv = kv_heads, config.head_dim = head_dim;
  ThreadPool pool(static_cast<int>(state.range(0)));
  KvPages pages({type, layers, kv_heads, head_dim});
  KvCache cache(pages, positions);
  cache.reserve(positions);
  std::mt19937 random(3);
  std::vector<float> row(4096);
  for (float& x : row) x = static_cast<float>(random()) * 0x1p-32f - 0.5f;
  const auto some = [&] { return row.data() + random() % (row.size() - 4 * head_dim); };
  for (std::int64_t i = 0; i < layers * kv_heads * positions; ++i) {
    const KvChunk chunk = cache.chunk(i / kv_heads / positions, i / positions % kv_heads, i % positions / kv_chunk_positions);
    table.kv_store(type, some(), some(), head_dim, chunk, i % positions % kv_chunk_positions);
  }
  std::vector<BatchToken> batch;
  for (std::int64_t t = 0; t < tokens; ++t) batch.push_back({0, &cache, depth + t});
  Attention attention(config, table, pool, tokens);
  attention.begin(batch);
  for (std::int64_t i = 0; i < kv_heads * tokens; ++i)
    std::copy_n(some(), 4 * head_dim, attention.queries(i / tokens, i % tokens));
  std::vector<Buffer> scratch;
  for (int i = 0; i < pool.threads(); ++i) scratch.emplace_back(static_cast<std::size_t>(kernel_scratch_bytes(0, head_dim)));
  std::vector<float> out(static_cast<std::size_t>(tokens * heads * head_dim));
  std::int64_t layer = 0;
  for (auto _ : state) attention.run(layer++ % layers, scratch, out.data());
  if (tokens == 1)
    rate(state, "B/s",
         static_cast<double>(positions) * static_cast<double>(KvShape{type, 1, kv_heads, head_dim}.bytes_per_position()));
  rate(state, "MAC/s",
       static_cast<double>(heads * 2 * head_dim) * static_cast<double>(tokens * depth + tokens * (tokens + 1) / 2));
}

void read_memory(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  double best = 0;
  for (auto _ : state) best = std::max(best, measure_read_bandwidth(pool));
  state.counters["B/s"] = benchmark::Counter(best, benchmark::Counter::kDefaults, benchmark::Counter::OneK::kIs1000);
}

#ifdef BITNET_HAVE_X86
// Sixteen byte products added in pairs, time and again on registers: what no kernel of maddubs can exceed.
__attribute__((target("avx2"))) void pair_products(std::int64_t times) {
  const __m256i codes = _mm256_set1_epi8(1);
  __m256i x[8] = {};
  for (std::int64_t i = 0; i < times; ++i) {
    for (__m256i& v : x) asm volatile("vpmaddubsw %1, %1, %0" : "=x"(v) : "x"(codes));
  }
}

void peak_products(benchmark::State& state) {
  if (!__builtin_cpu_supports("avx2")) return state.SkipWithError("this CPU has no AVX2");
  ThreadPool pool(static_cast<int>(state.range(0)));
  constexpr std::int64_t times = 100000;
  for (auto _ : state) pool.run([&](int, int) { pair_products(times); });
  rate(state, "MAC/s", static_cast<double>(pool.threads() * times * 8 * 32));
}
#endif

void add(const std::string& name, const std::function<void(benchmark::State&)>& body) {
  for (const int threads : {1, 2})
    benchmark::RegisterBenchmark(name.c_str(), body)->Arg(threads)->ArgName("threads")->UseRealTime();
}

}  // namespace
}  // namespace bitnet

int main(int argc, char** argv) {
  using namespace bitnet;
  for (const int threads : {1, 2})
    benchmark::RegisterBenchmark("read_memory", read_memory)->Arg(threads)->ArgName("threads")->Iterations(1);
#ifdef BITNET_HAVE_X86
  add("peak_products/maddubs", peak_products);
#endif
  for (const KernelTable* table : kernel_tables()) {
    const std::string name = std::string("/") + table->name;
    for (const int tokens : {1, 2, 4, 8, 12, 16, 512}) {
      add("ternary_matmul" + name + "/tokens:" + std::to_string(tokens),
          [=](benchmark::State& s) { ternary(s, *table, tokens); });
    }
    for (const int percent : {10, 20, 33, 50}) {
      add("ternary_rows" + name + "/percent:" + std::to_string(percent),
          [=](benchmark::State& s) { ternary_rows(s, *table, percent / 100.0); });
      add("ternary_combine" + name + "/percent:" + std::to_string(percent),
          [=](benchmark::State& s) { ternary_combine(s, *table, percent / 100.0); });
    }
    for (const int inputs : {1, 8}) {
      add("six_bit_scan" + name + "/inputs:" + std::to_string(inputs),
          [=](benchmark::State& s) { six_bit_scan(s, *table, inputs); });
    }
    for (const auto& [type, kv] : {std::pair{KvType::f32, "f32"}, {KvType::f16, "f16"}, {KvType::int8, "int8"}}) {
      const KvType kv_type = type;
      add("attend" + name + "/" + kv + "/decode_at:4096", [=](benchmark::State& s) { attend(s, *table, kv_type, 4095, 1); });
      add("attend" + name + "/" + kv + "/prefill:512", [=](benchmark::State& s) { attend(s, *table, kv_type, 0, 512); });
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
