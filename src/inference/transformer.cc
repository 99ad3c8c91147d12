// The forward pass: for each layer norm, q k v, rope, attention, output, norm, gate and up, activation, down.
#include "inference/transformer.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>

#include "common/checked.h"
#include "kernels/elementary.h"

namespace bitnet {
namespace {

Buffer floats(std::int64_t n) { return Buffer(static_cast<std::size_t>(n) * sizeof(float)); }

}  // namespace

Transformer::Transformer(const PreparedModel& model, const KernelTable& kernels, ThreadPool& pool, std::int64_t max_tokens)
    : model_(model), kernels_(kernels), pool_(pool), max_tokens_(max_tokens) {
  const ModelConfig& c = model.config;
  const std::int64_t attention_width = c.n_head * c.head_dim, qkv_width = (c.n_head + 2 * c.n_head_kv) * c.head_dim;
  const std::int64_t widest_input = std::max({c.n_embd, attention_width, c.n_ff});
  const std::int64_t widest_output = std::max({c.n_embd, qkv_width, 2 * c.n_ff});
  for (int i = 0; i < pool.threads(); ++i) {
    scratch_.emplace_back(static_cast<std::size_t>(kernel_scratch_bytes(widest_input, c.head_dim)));
  }
  rows_.resize(scratch_.size());
  x_ = floats(max_tokens * c.n_embd);
  projected_ = floats(max_tokens * widest_output);
  normed_ = floats(max_tokens * widest_input);
  quantised_ = Buffer(static_cast<std::size_t>(max_tokens * round_up(widest_input, ternary_line_cols)));
  quantised_scales_ = floats(max_tokens);
  quantised_sums_ = floats(max_tokens);
  cos_ = floats(max_tokens * c.rope_dim / 2);
  sin_ = floats(max_tokens * c.rope_dim / 2);
  queries_ = floats(max_tokens * attention_width);
  attended_ = floats(max_tokens * attention_width);
  attention_max_ = floats(max_tokens * c.n_head);
  attention_sum_ = floats(max_tokens * c.n_head);
  hidden_ = floats(max_tokens * std::max(attention_width, c.n_ff));
  logits_ = floats(std::min(head_rows, max_tokens) * c.n_vocab);
}

// One token is not worth waking anybody for.
template <class Body>
void Transformer::each_token(const Body& body) {
  if (tokens_ == 1) return body(0);
  pool_.split(tokens_, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) body(t);
  });
}

void Transformer::forward(std::span<const BatchToken> batch) {
  batch_ = batch;
  tokens_ = static_cast<std::int64_t>(batch.size());
  embed();
  for (std::size_t i = 0; i < model_.layers.size(); ++i) {
    attention(model_.layers[i], static_cast<std::int64_t>(i));
    feed_forward(model_.layers[i]);
  }
}

void Transformer::embed() {
  const std::int64_t half = model_.config.rope_dim / 2, n_embd = model_.config.n_embd;
  for (std::int64_t t = 0; t < tokens_; ++t) {
    const DenseMatrix row = model_.token_embd.read(batch_[static_cast<std::size_t>(t)].id, 1, rows_.front());
    kernels_.decode(row.type, row.data, n_embd, x_.as<float>() + t * n_embd);
  }
  each_token([&](std::int64_t t) {
    const BatchToken& token = batch_[static_cast<std::size_t>(t)];
    rope_angles(token.position, model_.rope_inverse.data(), half, cos_.as<float>() + t * half, sin_.as<float>() + t * half);
  });
}

// The input of `next`: x (tokens, n) after RMSNorm by `gain`, or as it is where `gain` is empty.
LinearInput Transformer::normalise(const float* x, std::int64_t n, const std::vector<float>& gain, const Linear& next) {
  const std::int64_t padded = round_up(n, ternary_line_cols);
  const float eps = model_.config.rms_eps;
  each_token([&](std::int64_t t) {
    const float* row = x + t * n;
    if (next.needs_quantised()) {
      std::int8_t* q = quantised_.as<std::int8_t>() + t * padded;
      float* scale = quantised_scales_.as<float>() + t;
      std::int32_t* sum = quantised_sums_.as<std::int32_t>() + t;
      if (gain.empty()) {
        kernels_.quantise(row, n, padded, q, scale, sum);
      } else {
        kernels_.rms_norm_quantise(row, gain.data(), eps, n, padded, q, scale, sum);
      }
    }
    if (next.needs_float() && !gain.empty()) kernels_.rms_norm(row, gain.data(), eps, n, normed_.as<float>() + t * n);
  });
  return {gain.empty() ? x : normed_.as<float>(),
          n,
          {quantised_.as<std::int8_t>(), quantised_scales_.as<float>(), quantised_sums_.as<std::int32_t>(), tokens_, padded}};
}

void Transformer::attention(const PreparedLayer& layer, std::int64_t index) {
  const ModelConfig& c = model_.config;
  float *x = x_.as<float>(), *projected = projected_.as<float>(), *hidden = hidden_.as<float>();
  const std::int64_t width = c.n_head * c.head_dim;

  multiply(layer.qkv, normalise(x, c.n_embd, layer.attn_norm, layer.qkv), tokens_, projected, layer.qkv.rows(), kernels_, pool_,
           scratch_);
  each_token([&](std::int64_t t) { store_and_rotate(index, t); });
  attend_layer(index);
  multiply(layer.attn_output, normalise(hidden, width, layer.attn_sub_norm, layer.attn_output), tokens_, projected, c.n_embd,
           kernels_, pool_, scratch_);
  each_token([&](std::int64_t t) { kernels_.add(x + t * c.n_embd, projected + t * c.n_embd, c.n_embd); });
}

void Transformer::feed_forward(const PreparedLayer& layer) {
  const ModelConfig& c = model_.config;
  float *x = x_.as<float>(), *projected = projected_.as<float>(), *hidden = hidden_.as<float>();

  multiply(layer.gate_up, normalise(x, c.n_embd, layer.ffn_norm, layer.gate_up), tokens_, projected, 2 * c.n_ff, kernels_,
           pool_, scratch_);
  each_token([&](std::int64_t t) {
    const float* gate = projected + t * 2 * c.n_ff;
    kernels_.gate(c.activation, gate, gate + c.n_ff, c.n_ff, hidden + t * c.n_ff);
  });
  multiply(layer.ffn_down, normalise(hidden, c.n_ff, layer.ffn_sub_norm, layer.ffn_down), tokens_, projected, c.n_embd,
           kernels_, pool_, scratch_);
  each_token([&](std::int64_t t) { kernels_.add(x + t * c.n_embd, projected + t * c.n_embd, c.n_embd); });
}

// Rotates one token's queries and keys, stores its keys and values, and lays its scaled queries out by kv head.
void Transformer::store_and_rotate(std::int64_t layer, std::int64_t token) {
  const ModelConfig& c = model_.config;
  const BatchToken& at = batch_[static_cast<std::size_t>(token)];
  const std::int64_t width = (c.n_head + 2 * c.n_head_kv) * c.head_dim, half = c.rope_dim / 2, group = c.n_head / c.n_head_kv;
  float* q = projected_.as<float>() + token * width;
  float *k = q + c.n_head * c.head_dim, *v = k + c.n_head_kv * c.head_dim;
  const float *cos = cos_.as<float>() + token * half, *sin = sin_.as<float>() + token * half;
  kernels_.rope(q, c.n_head, c.head_dim, c.rope_dim, c.rope_kind, cos, sin);
  kernels_.rope(k, c.n_head_kv, c.head_dim, c.rope_dim, c.rope_kind, cos, sin);
  kernels_.scale(q, c.attention_scale, c.n_head * c.head_dim);
  for (std::int64_t h = 0; h < c.n_head_kv; ++h) {
    const KvChunk chunk = at.cache->chunk(layer, h, at.position / kv_chunk_positions);
    kernels_.kv_store(at.cache->type(), k + h * c.head_dim, v + h * c.head_dim, c.head_dim, chunk,
                      at.position % kv_chunk_positions);
    std::memcpy(queries_.as<float>() + (h * tokens_ + token) * group * c.head_dim, q + h * group * c.head_dim,
                static_cast<std::size_t>(group * c.head_dim) * sizeof(float));
  }
}

// Work is cut into (kv head, run of queries) and taken by whichever thread is free: causal rows cost unequal time, and no
// result depends on who computes it.
void Transformer::attend_layer(std::int64_t layer) {
  const ModelConfig& c = model_.config;
  const std::int64_t group = c.n_head / c.n_head_kv, queries = tokens_ * group;  // per kv head
  std::fill_n(attention_max_.as<float>(), c.n_head * tokens_, -std::numeric_limits<float>::infinity());
  std::fill_n(attention_sum_.as<float>(), c.n_head * tokens_, 0.0f);
  std::fill_n(attended_.as<float>(), c.n_head * tokens_ * c.head_dim, 0.0f);

  const std::int64_t wanted = 4 * pool_.threads();  // pieces of work, so that the last ones even out
  const std::int64_t block = std::clamp<std::int64_t>(queries * c.n_head_kv / wanted, 1, kv_chunk_positions);
  const std::int64_t blocks = ceil_div(queries, block);
  std::atomic<std::int64_t> next{0};
  pool_.run([&](int thread, int) {
    for (std::int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < blocks * c.n_head_kv;) {
      const std::int64_t first = i % blocks * block;
      attend_queries(layer, i / blocks, first, std::min(block, queries - first),
                     scratch_[static_cast<std::size_t>(thread)].data());
    }
  });
}

// Queries [first, first + count) of one kv head in the order (token, head of the group), over all chunks that they see.
void Transformer::attend_queries(std::int64_t layer, std::int64_t kv_head, std::int64_t first, std::int64_t count,
                                 std::byte* scratch) {
  const ModelConfig& c = model_.config;
  const std::int64_t group = c.n_head / c.n_head_kv;
  std::int32_t visible[kv_chunk_positions];
  while (count > 0) {  // a run of queries of one sequence
    KvCache* cache = batch_[static_cast<std::size_t>(first / group)].cache;
    const auto position = [&](std::int64_t query) { return batch_[static_cast<std::size_t>(query / group)].position; };
    std::int64_t run = 1;
    while (run < count && batch_[static_cast<std::size_t>((first + run) / group)].cache == cache) ++run;

    const std::int64_t row = kv_head * tokens_ * group + first;
    const float* q = queries_.as<float>() + row * c.head_dim;
    float* out = attended_.as<float>() + row * c.head_dim;
    const AttentionState state{attention_max_.as<float>() + row, attention_sum_.as<float>() + row, out};
    const std::int64_t last = position(first + run - 1) / kv_chunk_positions;
    for (std::int64_t chunk = 0; chunk <= last; ++chunk) {
      for (std::int64_t i = 0; i < run; ++i) {
        const std::int64_t seen = position(first + i) + 1 - chunk * kv_chunk_positions;
        visible[i] = static_cast<std::int32_t>(std::clamp<std::int64_t>(seen, 0, kv_chunk_positions));
      }
      kernels_.attend(cache->type(), cache->chunk(layer, kv_head, chunk), q, run, visible, c.head_dim, state, scratch);
    }
    for (std::int64_t i = 0; i < run; ++i) {
      const std::int64_t token = (first + i) / group, head = kv_head * group + (first + i) % group;
      float* to = hidden_.as<float>() + (token * c.n_head + head) * c.head_dim;
      std::memcpy(to, out + i * c.head_dim, static_cast<std::size_t>(c.head_dim) * sizeof(float));
      kernels_.scale(to, 1.0f / state.sum[i], c.head_dim);
    }
    first += run, count -= run;
  }
}

std::span<const float> Transformer::logits(std::int64_t first, std::int64_t count) {
  const ModelConfig& c = model_.config;
  float* normed = normed_.as<float>();
  for (std::int64_t t = 0; t < count; ++t) {
    kernels_.rms_norm(x_.as<float>() + (first + t) * c.n_embd, model_.output_norm.data(), c.rms_eps, c.n_embd,
                      normed + t * c.n_embd);
  }
  model_.head().multiply(normed, count, logits_.as<float>(), c.n_vocab, kernels_, pool_, rows_, scratch_);
  return {logits_.as<float>(), static_cast<std::size_t>(count * c.n_vocab)};
}

LogitSet Transformer::find_logits(std::int64_t row, const LogitQuery& query) {
  const ModelConfig& c = model_.config;
  if (query.count > 0 && model_.head_scan.usable()) {
    float* normed = normed_.as<float>();
    kernels_.rms_norm(x_.as<float>() + row * c.n_embd, model_.output_norm.data(), c.rms_eps, c.n_embd, normed);
    const auto found = model_.head_scan.find(model_.head(), normed, query, kernels_, pool_, rows_, scratch_, head_memory_);
    if (found) return *found;
  }
  return {{}, logits(row, 1)};
}

}  // namespace bitnet
