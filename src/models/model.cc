// Reads the config of either container and finds the tensors that it asks for.
#include "models/model.h"

#include <algorithm>
#include <array>

#include "common/error.h"
#include "kernels/kernel_table.h"

namespace bitnet {
namespace {

// Parts of names of tensors that related models have and that change the result: ignoring one would give wrong text without a
// word.
constexpr std::array<std::string_view, 12> foreign_parts = {
    ".bias",          ".attn_qkv.",    ".attn_sinks.", ".ffn_gate_inp", "_exps.",   "_shexp.", "token_embd_norm.",
    "position_embd.", "rope_factors_", "cls.",         "dense_2.",      "dense_3.",
};

// The same, but for architectures that have them.
struct FamilyPart {
  std::string_view name;
  bool ModelConfig::* has;
};
constexpr std::array<FamilyPart, 6> family_parts = {{
    {"_sub_norm.", &ModelConfig::sub_norms},
    {".attn_q_norm.", &ModelConfig::qk_norms},
    {".attn_k_norm.", &ModelConfig::qk_norms},
    {".post_attention_norm.", &ModelConfig::post_norms},
    {".post_ffw_norm.", &ModelConfig::post_norms},
    {"_norm_in.", &ModelConfig::input_norms},
}};

}  // namespace

std::vector<const WeightTensor*> Model::weights() const {
  std::vector<const WeightTensor*> all = {&token_embd_};
  const auto add = [&](const std::optional<WeightTensor>& weight) {
    if (weight) all.push_back(&*weight);
  };
  add(output_), add(output_norm_);
  for (const LayerTensors& t : layers_) {
    for (const auto* norm : {&t.attn_norm, &t.attn_sub_norm, &t.ffn_norm, &t.ffn_sub_norm, &t.attn_q_norm, &t.attn_k_norm,
                             &t.post_attention_norm, &t.post_ffw_norm, &t.attn_q_norm_in, &t.attn_k_norm_in, &t.attn_v_norm_in,
                             &t.attn_output_norm_in, &t.ffn_gate_norm_in, &t.ffn_up_norm_in, &t.ffn_down_norm_in}) {
      add(*norm);
    }
    all.insert(all.end(), {&t.attn_q, &t.attn_k, &t.attn_v, &t.attn_output, &t.ffn_gate, &t.ffn_up, &t.ffn_down});
  }
  return all;
}

std::uint64_t Model::tensor_bytes() const {
  std::uint64_t total = 0;
  for (const WeightTensor* weight : weights()) total += weight->view.bytes.size();
  return total;
}

Model Model::open(ModelFiles files) {
  Model model(std::move(files));
  if (const GgufFile* gguf = model.files_.gguf()) {
    model.config_ = read_config(*gguf);
    model.config_.input_norms = find_architecture(model.config_.architecture)->may_have_input_norms &&
                                model.files_.find("blk.0.attn_q_norm_in.weight") != nullptr;
    model.refuse_foreign_parts();
    TensorFinder finder(model.files_, {});
    model.find_tensors(finder, std::nullopt);
    return model;
  }
  HuggingFaceConfig config = read_config(*model.files_.folder());
  model.config_ = std::move(config.model);
  TensorFinder finder(model.files_, config.weights);
  model.find_tensors(finder, config.tied_head);
  finder.refuse_unused(model.config_.architecture);
  return model;
}

void Model::add_norms(TensorFinder& finder, const std::string& prefix, LayerTensors& t) const {
  const ModelConfig& c = config_;
  const std::int64_t q = c.n_head * c.head_dim;
  const auto norm = [&](const char* name, std::int64_t size) { return finder.norm(prefix + name + ".weight", size); };
  t.attn_norm = norm("attn_norm", c.n_embd), t.ffn_norm = norm("ffn_norm", c.n_embd);
  if (c.sub_norms) t.attn_sub_norm = norm("attn_sub_norm", q), t.ffn_sub_norm = norm("ffn_sub_norm", c.n_ff);
  if (c.qk_norms) t.attn_q_norm = norm("attn_q_norm", c.head_dim), t.attn_k_norm = norm("attn_k_norm", c.head_dim);
  if (c.post_norms) {
    t.post_attention_norm = norm("post_attention_norm", c.n_embd), t.post_ffw_norm = norm("post_ffw_norm", c.n_embd);
  }
  if (c.input_norms) {
    const auto vector = [&](const char* name, std::int64_t size) { return finder.vector(prefix + name + ".weight", size); };
    t.attn_q_norm_in = vector("attn_q_norm_in", c.n_embd), t.attn_k_norm_in = vector("attn_k_norm_in", c.n_embd);
    t.attn_v_norm_in = vector("attn_v_norm_in", c.n_embd), t.attn_output_norm_in = vector("attn_output_norm_in", q);
    t.ffn_gate_norm_in = vector("ffn_gate_norm_in", c.n_embd), t.ffn_up_norm_in = vector("ffn_up_norm_in", c.n_embd);
    t.ffn_down_norm_in = vector("ffn_down_norm_in", c.n_ff);
  }
}

LayerTensors Model::layer(TensorFinder& finder, std::int64_t index) const {
  const ModelConfig& c = config_;
  const std::string prefix = fmt::format("blk.{}.", index);
  const std::int64_t q = c.n_head * c.head_dim, kv = c.n_head_kv * c.head_dim;
  LayerTensors t;
  add_norms(finder, prefix, t);
  t.attn_q = finder.projection(prefix + "attn_q", q, c.n_embd);
  t.attn_k = finder.projection(prefix + "attn_k", kv, c.n_embd);
  t.attn_v = finder.projection(prefix + "attn_v", kv, c.n_embd);
  t.attn_output = finder.projection(prefix + "attn_output", c.n_embd, q);
  t.ffn_gate = finder.projection(prefix + "ffn_gate", c.n_ff, c.n_embd);
  t.ffn_up = finder.projection(prefix + "ffn_up", c.n_ff, c.n_embd);
  t.ffn_down = finder.projection(prefix + "ffn_down", c.n_embd, c.n_ff);
  return t;
}

void Model::refuse_foreign_parts() const {
  for (const StoredTensor& tensor : files_.tensors()) {
    const auto contains = [&](std::string_view part) { return tensor.name.find(part) != std::string_view::npos; };
    const auto lacks = [&](const FamilyPart& part) { return !(config_.*part.has) && contains(part.name); };
    if (std::any_of(family_parts.begin(), family_parts.end(), lacks) ||
        std::any_of(foreign_parts.begin(), foreign_parts.end(), contains)) {
      fail(ErrorKind::unsupported, "{}: tensor '{}' changes the result in a way that is not supported for architecture {}",
           printable(files_.path(), 512), printable(tensor.name), config_.architecture);
    }
  }
}

// They divide frequencies: zero, infinity or NaN would spoil every logit.
void Model::read_rope_divisors(TensorFinder& finder) {
  constexpr std::string_view name = "rope_freqs.weight";
  if (finder.find(name) == nullptr) return;
  const TensorView view = finder.vector(name, config_.rope_dim / 2).view;
  std::vector<float> values(static_cast<std::size_t>(view.shape.elements()));
  scalar_table().decode(view.type, view.bytes.data(), view.shape.elements(), values.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!(values[i] > 0 && values[i] <= 1e30f)) {
      finder.bad(name, fmt::format("has {} at {}, it must be above 0 and at most 1e30", values[i], i));
    }
  }
  config_.rope_divisors = std::move(values);
}

// A GGUF file's vocabulary is as large as its embedding; a folder's config says how large that is.
void Model::find_embedding(TensorFinder& finder) {
  constexpr std::string_view name = "token_embd.weight";
  const StoredTensor* embedding = finder.find(name);
  if (embedding == nullptr) finder.bad(name, "is missing");
  const Shape& shape = embedding->shape;
  const std::int64_t most = config_.n_vocab == 0 ? config_bounds::max_vocabulary : config_.n_vocab;
  const std::int64_t least = config_.n_vocab == 0 ? 1 : config_.n_vocab;
  const bool fits = shape.dims.size() == 2 && shape.cols() == config_.n_embd && shape.rows() >= least && shape.rows() <= most;
  if (!fits) {
    const std::string rows = least == most ? fmt::format("{}", most) : fmt::format("{} to {}", least, most);
    finder.bad(name, fmt::format("has shape {}, the config asks for ({}, {})", shape.text(), rows, config_.n_embd));
  }
  config_.n_vocab = shape.rows();
  token_embd_ = finder.require(name, shape);
}

void Model::find_tensors(TensorFinder& finder, std::optional<bool> tied_head) {
  find_embedding(finder);
  output_norm_ = finder.norm("output_norm.weight", config_.n_embd);
  const bool has_head = finder.find("output.weight") != nullptr;
  if (tied_head == false && !has_head) finder.bad("output.weight", "is missing, and tie_word_embeddings is false");
  if (has_head) {
    // A folder's head is never ternary; a GGUF file's may have a scale, which is refused when it is loaded.
    WeightTensor head = files_.gguf() != nullptr ? finder.projection("output", config_.n_vocab, config_.n_embd)
                                                 : finder.require("output.weight", {{config_.n_vocab, config_.n_embd}});
    if (tied_head != true) output_ = std::move(head);
  }
  if (files_.gguf() != nullptr) read_rope_divisors(finder);
  for (std::int64_t i = 0; i < config_.n_layer; ++i) layers_.push_back(layer(finder, i));
}

}  // namespace bitnet
