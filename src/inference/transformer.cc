// The forward pass: for each layer norm, q k v, rope, attention, output, norm, gate and up, activation, down.
#include "inference/transformer.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "common/checked.h"
#include "kernels/elementary.h"

namespace bitnet {
namespace {

constexpr std::int64_t rows_unit = 32, columns_unit = 128;  // of gate and up, and of down, that one thread takes at least

Buffer floats(std::int64_t n) { return Buffer(static_cast<std::size_t>(n) * sizeof(float)); }

std::int64_t widest_input(const ModelConfig& c) { return std::max({c.n_embd, c.n_head * c.head_dim, c.n_ff}); }

}  // namespace

Transformer::Transformer(const PreparedModel& model, const KernelTable& kernels, ThreadPool& pool, std::int64_t max_tokens)
    : model_(model),
      kernels_(kernels),
      pool_(pool),
      max_tokens_(max_tokens),
      attention_(model.config, kernels, pool, max_tokens),
      compute_(kernels, pool, widest_input(model.config), model.config.head_dim) {
  const ModelConfig& c = model.config;
  const std::int64_t attention_width = c.n_head * c.head_dim, qkv_width = (c.n_head + 2 * c.n_head_kv) * c.head_dim;
  const std::int64_t widest_output = std::max({c.n_embd, qkv_width, 2 * c.n_ff});
  picked_.resize(static_cast<std::size_t>(c.n_ff));
  down_sums_.resize(static_cast<std::size_t>(pool.threads()));
  head_memory_.resize(static_cast<std::size_t>(head_rows));
  x_ = floats(max_tokens * c.n_embd);
  projected_ = floats(max_tokens * widest_output);
  normed_ = floats(max_tokens * widest_input(c));
  quantised_ = Buffer(static_cast<std::size_t>(max_tokens * round_up(widest_input(c), ternary_line_cols)));
  quantised_scales_ = floats(max_tokens);
  quantised_sums_ = floats(max_tokens);
  if (c.input_norms) shared_ = floats(max_tokens * c.n_embd);
  const std::int64_t angles = (c.window > 0 ? 2 : 1) * max_tokens * c.rope_dim / 2;
  cos_ = floats(angles), sin_ = floats(angles);
  hidden_ = floats(max_tokens * std::max(attention_width, c.n_ff));
  logits_ = floats(std::min(head_rows, max_tokens) * c.n_vocab);
}

// Calls body(token, thread of the pool). One token is not worth waking anybody for.
template <class Body>
void Transformer::each_token(const Body& body) {
  if (tokens_ == 1) return body(0, 0);
  pool_.run([&](int part, int parts) {
    const auto [begin, end] = ThreadPool::part(tokens_, 1, part, parts);
    for (std::int64_t t = begin; t < end; ++t) body(t, static_cast<std::size_t>(part));
  });
}

void Transformer::forward(std::span<const BatchToken> batch) {
  batch_ = batch;
  tokens_ = static_cast<std::int64_t>(batch.size());
  attention_.begin(batch);
  embed();
  for (std::size_t i = 0; i < model_.layers.size(); ++i) {
    attend(model_.layers[i], static_cast<std::int64_t>(i));
    feed_forward(model_.layers[i]);
  }
}

void Transformer::embed() {
  const std::int64_t half = model_.config.rope_dim / 2, n_embd = model_.config.n_embd;
  each_token([&](std::int64_t t, std::size_t thread) {
    const BatchToken& token = batch_[static_cast<std::size_t>(t)];
    const DenseMatrix row = model_.token_embd.read(token.id, 1, compute_.rows[thread]);
    kernels_.decode(row.type, row.data, n_embd, x_.as<float>() + t * n_embd);
    if (model_.config.embedding_scale != 1.0f) {
      kernels_.scale(x_.as<float>() + t * n_embd, model_.config.embedding_scale, n_embd);
    }
    float *cos = cos_.as<float>() + t * half, *sin = sin_.as<float>() + t * half;
    rope_angles(token.position, model_.rope_inverse.data(), half, cos, sin);
    if (model_.config.window == 0) return;
    rope_angles(token.position, model_.window_rope_inverse.data(), half, cos + tokens_ * half, sin + tokens_ * half);
  });
}

// x (tokens, n) after RMSNorm by `gain`, or as it is where `gain` is empty, in the forms that are asked for.
LinearInput Transformer::normalise(const float* x, std::int64_t n, const std::vector<float>& gain, bool quantised,
                                   bool floats) {
  const std::int64_t padded = round_up(n, ternary_line_cols);
  const float eps = model_.config.rms_eps;
  each_token([&](std::int64_t t, std::size_t) {
    const float* row = x + t * n;
    if (quantised) {
      std::int8_t* q = quantised_.as<std::int8_t>() + t * padded;
      float* scale = quantised_scales_.as<float>() + t;
      std::int32_t* sum = quantised_sums_.as<std::int32_t>() + t;
      if (gain.empty()) {
        kernels_.quantise(row, n, padded, q, scale, sum);
      } else {
        kernels_.rms_norm_quantise(row, gain.data(), eps, n, padded, q, scale, sum);
      }
    }
    if (floats && !gain.empty()) kernels_.rms_norm(row, gain.data(), eps, n, normed_.as<float>() + t * n);
  });
  return {gain.empty() ? x : normed_.as<float>(),
          n,
          {quantised_.as<std::int8_t>(), quantised_scales_.as<float>(), quantised_sums_.as<std::int32_t>(), tokens_, padded}};
}

// y (tokens, rows) = w * norm(x), where each of w's parts may have a norm of its own behind the common one.
void Transformer::project(const Linear& w, const float* x, const std::vector<float>& gain, float* y) {
  if (!w.has_input_norms()) {
    return multiply(w, normalise(x, gain, w), tokens_, y, w.rows(), compute_);
  }
  if (!gain.empty()) {
    each_token([&](std::int64_t t, std::size_t) {
      kernels_.rms_norm(x + t * w.cols(), gain.data(), model_.config.rms_eps, w.cols(), shared_.as<float>() + t * w.cols());
    });
    x = shared_.as<float>();
  }
  for (const Linear::Part& part : w.parts()) {
    const LinearInput in = normalise(x, w.cols(), part.input_norm, part.is_ternary, !part.is_ternary);
    multiply(part, in, tokens_, y + part.first_row, w.rows(), compute_);
  }
}

// x += addend (tokens, n_embd), after RMSNorm by `gain` unless that is empty.
void Transformer::add_to_residual(float* addend, const std::vector<float>& gain) {
  const std::int64_t n = model_.config.n_embd;
  each_token([&](std::int64_t t, std::size_t) {
    float* row = addend + t * n;
    if (!gain.empty()) kernels_.rms_norm(row, gain.data(), model_.config.rms_eps, n, row);
    kernels_.add(x_.as<float>() + t * n, row, n);
  });
}

void Transformer::attend(const PreparedLayer& layer, std::int64_t index) {
  float *projected = projected_.as<float>(), *hidden = hidden_.as<float>();
  project(layer.qkv, x_.as<float>(), layer.attn_norm, projected);
  each_token([&](std::int64_t t, std::size_t) { store_and_rotate(layer, index, t); });
  attention_.run(index, compute_.scratch, hidden);
  project(layer.attn_output, hidden, layer.attn_sub_norm, projected);
  add_to_residual(projected, layer.post_attn_norm);
}

void Transformer::feed_forward(const PreparedLayer& layer) {
  float *projected = projected_.as<float>(), *hidden = hidden_.as<float>();
  if (tokens_ == 1 && !layer.gate_up.has_input_norms()) {
    hidden_of_one(layer, normalise(x_.as<float>(), layer.ffn_norm, layer.gate_up));
  } else {
    hidden_of_many(layer);
  }
  if (tokens_ == 1 && layer.down_columns) {
    const LinearInput in = normalise(hidden, layer.ffn_sub_norm, layer.ffn_down);
    if (add_down_columns(layer, in.quantised)) return;
    multiply(layer.ffn_down, in, 1, projected, model_.config.n_embd, compute_);
  } else {
    project(layer.ffn_down, hidden, layer.ffn_sub_norm, projected);
  }
  add_to_residual(projected, layer.post_ffn_norm);
}

void Transformer::hidden_of_many(const PreparedLayer& layer) {
  const std::int64_t n_ff = model_.config.n_ff;
  float *projected = projected_.as<float>(), *hidden = hidden_.as<float>();
  project(layer.gate_up, x_.as<float>(), layer.ffn_norm, projected);
  each_token([&](std::int64_t t, std::size_t) {
    const float* gate = projected + t * 2 * n_ff;
    kernels_.gate(model_.config.activation, gate, gate + n_ff, n_ff, hidden + t * n_ff);
  });
}

// Each thread goes from its rows of the gate to those of `up`, of which it reads the ones whose gate is open where that pays.
void Transformer::hidden_of_one(const PreparedLayer& layer, const LinearInput& in) {
  const std::int64_t n_ff = model_.config.n_ff;
  const Linear::Part &gate_part = layer.gate_up.parts()[0], &up_part = layer.gate_up.parts()[1];
  float *gate = projected_.as<float>(), *up = gate + n_ff, *hidden = hidden_.as<float>();
  const bool may_skip = model_.config.activation == Activation::relu2 && up_part.is_ternary;
  std::atomic<std::int64_t> closed{0}, skipped{0};
  pool_.balance(n_ff, rows_unit, [&](std::int64_t begin, std::int64_t end, int part) {
    multiply_part(gate_part, begin, end, in, 1, gate, n_ff, compute_, part);
    std::int32_t* open = picked_.data() + begin;
    const std::int64_t count =
        may_skip ? pick(begin, end, [&](std::int64_t i) { return !(gate[i] <= 0.0f); }, open) : end - begin;
    if (may_skip && static_cast<double>(count) <= model_.sparse_limits.rows * static_cast<double>(end - begin)) {
      kernels_.ternary_rows(up_part.ternary, open, count, in.quantised, up);
      skipped.fetch_add(end - begin - count, std::memory_order_relaxed);
    } else {
      multiply_part(up_part, begin, end, in, 1, up, n_ff, compute_, part);
    }
    kernels_.gate(model_.config.activation, gate + begin, up + begin, end - begin, hidden + begin);
    closed.fetch_add(end - begin - count, std::memory_order_relaxed);
  });
  if (!may_skip) return;
  zeros_.values += n_ff, zeros_.closed_gates += closed;
  zeros_.bytes_skipped += skipped * up_part.ternary.cols / 4;
}

// x += down * in, reading only the columns whose input is not zero; false, with nothing done, where that does not pay.
bool Transformer::add_down_columns(const PreparedLayer& layer, const QuantisedRows& in) {
  const TernaryMatrix& columns = layer.down_columns.matrix;
  const std::int64_t n_ff = columns.rows, n_embd = model_.config.n_embd;
  const auto counts = [&](std::int64_t i) { return in.q[i] != 0; };
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < n_ff; ++i) count += counts(i) ? 1 : 0;
  zeros_.looked_at += n_ff, zeros_.zeros += n_ff - count;
  if (static_cast<double>(count) > model_.sparse_limits.columns * static_cast<double>(n_ff)) return false;
  zeros_.bytes_skipped += (n_ff - count) * columns.cols / 4;
  for (std::vector<std::int32_t>& sums : down_sums_) sums.clear();
  pool_.balance(n_ff, columns_unit, [&](std::int64_t begin, std::int64_t end, int part) {
    std::vector<std::int32_t>& sums = down_sums_[static_cast<std::size_t>(part)];
    if (sums.empty()) sums.resize(static_cast<std::size_t>(columns.cols));
    std::int32_t* picked = picked_.data() + begin;
    kernels_.ternary_combine(columns, picked, pick(begin, end, counts, picked), in.q, sums.data());
  });
  float* x = x_.as<float>();
  std::vector<std::int32_t>& sums = down_sums_.front();
  sums.resize(static_cast<std::size_t>(columns.cols));
  for (std::size_t part = 1; part < down_sums_.size(); ++part) {  // those of threads that had a share
    for (std::size_t i = 0; i < down_sums_[part].size(); ++i) sums[i] += down_sums_[part][i];
  }
  const float scale = in.scales[0], *weight_scales = layer.down_columns.scales;
  for (std::int64_t i = 0; i < n_embd; ++i)
    x[i] += static_cast<float>(sums[static_cast<std::size_t>(i)]) / scale * weight_scales[i];
  return true;
}

// Normalises and rotates one token's queries and keys, stores its keys and values, and lays its scaled queries out by kv head.
void Transformer::store_and_rotate(const PreparedLayer& layer, std::int64_t index, std::int64_t token) {
  const ModelConfig& c = model_.config;
  const BatchToken& at = batch_[static_cast<std::size_t>(token)];
  const std::int64_t width = (c.n_head + 2 * c.n_head_kv) * c.head_dim, half = c.rope_dim / 2, group = c.n_head / c.n_head_kv;
  float* q = projected_.as<float>() + token * width;
  float *k = q + c.n_head * c.head_dim, *v = k + c.n_head_kv * c.head_dim;
  const std::int64_t angle = (token + (c.has_window(index) ? tokens_ : 0)) * half;
  const float *cos = cos_.as<float>() + angle, *sin = sin_.as<float>() + angle;
  const auto normalise_heads = [&](float* x, std::int64_t heads, const std::vector<float>& gain) {
    if (gain.empty()) return;
    for (float* end = x + heads * c.head_dim; x < end; x += c.head_dim)
      kernels_.rms_norm(x, gain.data(), c.rms_eps, c.head_dim, x);
  };
  normalise_heads(q, c.n_head, layer.q_norm), normalise_heads(k, c.n_head_kv, layer.k_norm);
  kernels_.rope(q, c.n_head, c.head_dim, c.rope_dim, c.rope_kind, cos, sin);
  kernels_.rope(k, c.n_head_kv, c.head_dim, c.rope_dim, c.rope_kind, cos, sin);
  kernels_.scale(q, c.attention_scale, c.n_head * c.head_dim);
  for (std::int64_t h = 0; h < c.n_head_kv; ++h) {
    const KvChunk chunk = at.cache->chunk(index, h, at.position / kv_chunk_positions);
    kernels_.kv_store(at.cache->type(), k + h * c.head_dim, v + h * c.head_dim, c.head_dim, chunk,
                      at.position % kv_chunk_positions);
    std::memcpy(attention_.queries(h, token), q + h * group * c.head_dim,
                static_cast<std::size_t>(group * c.head_dim) * sizeof(float));
  }
}

std::span<const float> Transformer::logits(std::int64_t first, std::int64_t count) {
  const ModelConfig& c = model_.config;
  normalise_last(first, count);
  model_.head().multiply(normed_.as<float>(), count, logits_.as<float>(), c.n_vocab, compute_);
  return {logits_.as<float>(), static_cast<std::size_t>(count * c.n_vocab)};
}

void Transformer::normalise_last(std::int64_t first, std::int64_t count) {
  const ModelConfig& c = model_.config;
  for (std::int64_t t = 0; t < count; ++t) {
    kernels_.rms_norm(x_.as<float>() + (first + t) * c.n_embd, model_.output_norm.data(), c.rms_eps, c.n_embd,
                      normed_.as<float>() + t * c.n_embd);
  }
}

std::span<const float> Transformer::hidden(std::int64_t first, std::int64_t count) {
  normalise_last(first, count);
  return {normed_.as<float>(), static_cast<std::size_t>(count * model_.config.n_embd)};
}

std::vector<LogitSet> Transformer::find_logits(std::int64_t first, std::span<const LogitQuery> queries) {
  const ModelConfig& c = model_.config;
  const auto count = static_cast<std::int64_t>(queries.size());
  normalise_last(first, count);
  const auto found = model_.head_scan.find(model_.head(), normed_.as<float>(), queries, compute_, head_memory_);
  const bool none = std::none_of(found.begin(), found.end(), [](const auto& answer) { return answer.has_value(); });
  if (none) logits(first, count);  // one reading of the head for all
  std::vector<LogitSet> answers;
  for (std::int64_t t = 0; t < count; ++t) {
    if (const auto& answer = found[static_cast<std::size_t>(t)]) {
      answers.push_back(*answer);
      continue;
    }
    float* all = logits_.as<float>() + t * c.n_vocab;
    if (!none) model_.head().multiply(normed_.as<float>() + t * c.n_embd, 1, all, c.n_vocab, compute_);
    answers.push_back({{}, {all, static_cast<std::size_t>(c.n_vocab)}});
  }
  return answers;
}

}  // namespace bitnet
