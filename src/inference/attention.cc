// Cuts attention into work: whole blocks of queries when there are many, spans of positions when there are few.
#include "inference/attention.h"

#include <algorithm>
#include <cstring>

#include "common/checked.h"

namespace bitnet {
namespace {

constexpr std::int64_t span_chunks = 4;  // part of the numbers: another value gives other bits
constexpr std::int64_t span_positions = span_chunks * kv_chunk_positions;
constexpr std::int64_t no_window = std::int64_t{1} << 40;
constexpr std::int64_t most_shared = 16;    // queries per kv head for which spans are shared out: their states take memory
constexpr std::int64_t smallest_block = 8;  // queries, below which converting keys and values would cost more than it evens out

}  // namespace

Attention::Attention(const ModelConfig& config, const KernelTable& kernels, ThreadPool& pool, std::int64_t max_tokens)
    : config_(config),
      kernels_(kernels),
      pool_(pool),
      group_(config.n_head / config.n_head_kv),
      spans_left_(static_cast<std::size_t>(config.n_head_kv * most_shared)),
      queries_(static_cast<std::size_t>(max_tokens * config.n_head * config.head_dim) * sizeof(float)) {
  plans_.push_back({no_window, {}, {}});
  if (config.window > 0) plans_.push_back({config.window, {}, {}});
  for (int i = 0; i < pool.threads(); ++i) block_states_.push_back(make_states(2 * attention_block));
}

// Rows of head_dim floats of `out`, behind the maxima and sums of all rows.
Buffer Attention::make_states(std::int64_t rows) const {
  return Buffer(static_cast<std::size_t>(rows * (config_.head_dim + 2)) * sizeof(float));
}

AttentionState Attention::state(Buffer& memory, std::int64_t row) const {
  const auto rows = static_cast<std::int64_t>(memory.size() / sizeof(float)) / (config_.head_dim + 2);
  auto* start = memory.as<float>();
  return {start + row, start + rows + row, start + 2 * rows + row * config_.head_dim};
}

float* Attention::queries(std::int64_t kv_head, std::int64_t token) {
  const auto tokens = static_cast<std::int64_t>(batch_.size());
  return queries_.as<float>() + (kv_head * tokens + token) * group_ * config_.head_dim;
}

void Attention::begin(std::span<const BatchToken> batch) {
  batch_ = batch;
  for (Plan& plan : plans_) cut_blocks(plan), cut_pieces(plan);
}

void Attention::cut_blocks(Plan& plan) const {
  const auto queries = static_cast<std::int64_t>(batch_.size()) * group_;
  const std::int64_t wanted = 4 * pool_.threads();  // pieces of work, so that the last ones even out
  const std::int64_t most =
      std::clamp(queries * config_.n_head_kv / wanted / smallest_block * smallest_block, smallest_block, attention_block);
  plan.blocks.clear();
  for (std::int64_t first = 0; first < queries;) {
    std::int64_t count = 1;
    while (count < most && first + count < queries && token(first + count).cache == token(first).cache) ++count;
    const std::int64_t oldest = std::max<std::int64_t>(token(first).position - plan.window + 1, 0);
    const std::int64_t first_span = oldest / span_positions;
    plan.blocks.push_back({first, count, first_span, token(first + count - 1).position / span_positions + 1 - first_span});
    first += count;
  }
}

void Attention::cut_pieces(Plan& plan) {
  plan.pieces.clear();
  const auto blocks = static_cast<std::int64_t>(plan.blocks.size()),
             queries = static_cast<std::int64_t>(batch_.size()) * group_;
  if (pool_.threads() == 1 || queries > most_shared || blocks * config_.n_head_kv >= 4 * pool_.threads()) return;
  std::int64_t rows = 0;
  for (std::int64_t b = 0; b < blocks; ++b) {
    const Block& block = plan.blocks[static_cast<std::size_t>(b)];
    for (std::int64_t span = 0; span < block.spans; ++span, rows += block.count) plan.pieces.push_back({b, span, rows});
  }
  const std::int64_t needed = rows * config_.n_head_kv * (config_.head_dim + 2) * static_cast<std::int64_t>(sizeof(float));
  if (static_cast<std::int64_t>(states_.size()) < needed) states_ = make_states(2 * rows * config_.n_head_kv);
}

void Attention::run(std::int64_t layer, std::span<Buffer> scratch, float* out) {
  const Plan& plan = plans_[config_.has_window(layer) ? 1 : 0];
  if (plan.pieces.empty()) {
    run_blocks(plan, layer, scratch, out);
  } else {
    run_pieces(plan, layer, scratch, out);
  }
}

// Blocks are taken by whichever thread is free, the later ones first: they see more.
void Attention::run_blocks(const Plan& plan, std::int64_t layer, std::span<Buffer> scratch, float* out) {
  std::atomic<std::int64_t> left{static_cast<std::int64_t>(plan.blocks.size()) * config_.n_head_kv};
  pool_.run([&](int thread, int) {
    std::byte* memory = scratch[static_cast<std::size_t>(thread)].data();
    Buffer& states = block_states_[static_cast<std::size_t>(thread)];
    const AttentionState all = state(states, 0), one = state(states, attention_block);
    for (std::int64_t i; (i = left.fetch_sub(1, std::memory_order_relaxed) - 1) >= 0;) {
      const Block& block = plan.blocks[static_cast<std::size_t>(i / config_.n_head_kv)];
      const std::int64_t kv_head = i % config_.n_head_kv;
      attend_span(plan, layer, kv_head, block, 0, all, memory);
      for (std::int64_t span = 1; span < block.spans; ++span) {
        attend_span(plan, layer, kv_head, block, span, one, memory);
        kernels_.merge_states(all, one, block.count, config_.head_dim);
      }
      finish(kv_head, block, all, out);
    }
  });
}

// Who ends the last span of a block merges them all, so that no thread waits for another.
void Attention::run_pieces(const Plan& plan, std::int64_t layer, std::span<Buffer> scratch, float* out) {
  const auto pieces = static_cast<std::int64_t>(plan.pieces.size()), blocks = static_cast<std::int64_t>(plan.blocks.size());
  const std::int64_t rows = plan.pieces.back().row + plan.blocks.back().count;
  const auto left = [&](std::int64_t kv_head, std::int64_t block) -> std::atomic<std::int64_t>& {
    return spans_left_[static_cast<std::size_t>(kv_head * blocks + block)];
  };
  for (std::int64_t h = 0; h < config_.n_head_kv; ++h) {
    for (std::int64_t b = 0; b < blocks; ++b) left(h, b).store(plan.blocks[static_cast<std::size_t>(b)].spans);
  }
  std::atomic<std::int64_t> next{0};
  pool_.run([&](int thread, int) {
    std::byte* memory = scratch[static_cast<std::size_t>(thread)].data();
    for (std::int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < pieces * config_.n_head_kv;) {
      const std::int64_t kv_head = i / pieces;
      const Piece& piece = plan.pieces[static_cast<std::size_t>(i % pieces)];
      const Block& block = plan.blocks[static_cast<std::size_t>(piece.block)];
      const std::int64_t row = kv_head * rows + piece.row;
      attend_span(plan, layer, kv_head, block, piece.span, state(states_, row), memory);
      if (left(kv_head, piece.block).fetch_sub(1, std::memory_order_acq_rel) > 1) continue;
      const std::int64_t first = row - piece.span * block.count;
      for (std::int64_t span = 1; span < block.spans; ++span) {
        kernels_.merge_states(state(states_, first), state(states_, first + span * block.count), block.count, config_.head_dim);
      }
      finish(kv_head, block, state(states_, first), out);
    }
  });
}

// `span` counts from the block's first one.
void Attention::attend_span(const Plan& plan, std::int64_t layer, std::int64_t kv_head, const Block& block, std::int64_t span,
                            const AttentionState& state, std::byte* scratch) const {
  KvCache& cache = *token(block.first).cache;
  std::int32_t hidden[attention_block], visible[attention_block];
  span += block.first_span;
  for (std::int64_t i = 0; i < block.count; ++i) {
    const std::int64_t seen = token(block.first + i).position + 1 - span * span_positions;
    visible[i] = static_cast<std::int32_t>(std::clamp<std::int64_t>(seen, 0, span_positions));
    hidden[i] = static_cast<std::int32_t>(std::clamp<std::int64_t>(seen - plan.window, 0, span_positions));
  }
  KvChunk chunks[span_chunks];
  const std::int64_t count = ceil_div(visible[block.count - 1], kv_chunk_positions);
  for (std::int64_t i = 0; i < count; ++i) chunks[i] = cache.chunk(layer, kv_head, span * span_chunks + i);
  const auto tokens = static_cast<std::int64_t>(batch_.size());
  const float* q = queries_.as<float>() + (kv_head * tokens * group_ + block.first) * config_.head_dim;
  kernels_.attend(cache.type(), chunks, count, q, block.count, hidden, visible, config_.head_dim, state, scratch);
}

// The softmax's division, and each query's head to its place in `out`.
void Attention::finish(std::int64_t kv_head, const Block& block, const AttentionState& state, float* out) const {
  for (std::int64_t i = 0; i < block.count; ++i) {
    const std::int64_t token = (block.first + i) / group_, head = kv_head * group_ + (block.first + i) % group_;
    float* to = out + (token * config_.n_head + head) * config_.head_dim;
    std::memcpy(to, state.out + i * config_.head_dim, static_cast<std::size_t>(config_.head_dim) * sizeof(float));
    kernels_.scale(to, 1.0f / state.sum[i], config_.head_dim);
  }
}

}  // namespace bitnet
