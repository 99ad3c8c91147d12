// Finds a model's tensors by name and checks their shapes.
#include "models/model.h"

#include <algorithm>
#include <array>

#include "common/error.h"
#include "quantization/ternary.h"

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
constexpr std::int64_t max_vocabulary = 1 << 24;

}  // namespace

std::uint64_t Model::tensor_bytes() const {
  std::uint64_t total = 0;
  for (const StoredTensor& tensor : files_.tensors()) total += tensor.bytes.size();
  return total;
}

Model Model::open(ModelFiles files) {
  Model model(std::move(files));
  const GgufFile* gguf = model.files_.gguf();
  if (gguf == nullptr) {
    fail(ErrorKind::unsupported, "{}: HuggingFace folders are not supported by this build, give a GGUF file",
         printable(model.files_.path(), 512));
  }
  model.config_ = read_config(*gguf);
  model.find_tensors();
  return model;
}

void Model::bad(std::string_view tensor, const std::string& fact) const {
  fail(ErrorKind::bad_model, "{}: tensor '{}' {}", printable(files_.path(), 512), printable(tensor), fact);
}

WeightTensor Model::require(const std::string& name, const Shape& shape) const {
  const StoredTensor* tensor = files_.find(name);
  if (tensor == nullptr) bad(name, "is missing");
  if (tensor->shape != shape) {
    bad(name, fmt::format("has shape {}, the config asks for {}", tensor->shape.text(), shape.text()));
  }
  if (!tensor->data_type) bad(name, fmt::format("is {}, which nothing here computes with", tensor->type));
  return {name, {*tensor->data_type, tensor->shape, tensor->bytes, tensor->tiling}, 1, tensor->file};
}

// bitnet.cpp keeps the scale of TL1 and TL2 behind the codes. A NAME_scale beside the tensor must not say otherwise.
void Model::check_tail_scale(const WeightTensor& weight) const {
  const bool tiled = weight.view.type == DataType::tl1 || weight.view.type == DataType::tl2;
  if (!tiled || files_.find(weight.name + "_scale") == nullptr) return;
  const float beside = number(weight.name + "_scale"), behind = ternary_scales(weight.view, weight.name)->values.front();
  if (beside != behind)
    bad(weight.name, fmt::format("has the scale {} behind its codes, {}_scale is {}", behind, weight.name, beside));
}

float Model::number(const std::string& name) const {
  const TensorView view = require(name, {{1}}).view;
  if (view.type != DataType::f32) bad(name, fmt::format("is {}, it must be F32", info(view.type).name));
  Cursor in(view.bytes, files_.path());
  return in.number<float>("scale");
}

// BASE.weight with its companion BASE.scale, a single float that some converters write beside ternary values of -1, 0 and 1.
WeightTensor Model::matrix(const std::string& base, std::int64_t rows, std::int64_t cols) const {
  WeightTensor weight = require(base + ".weight", {{rows, cols}});
  check_tail_scale(weight);
  if (files_.find(base + ".scale") == nullptr) return weight;
  weight.scale = number(base + ".scale");
  if (!(weight.scale > -1e30f && weight.scale < 1e30f)) {
    bad(base + ".scale", fmt::format("is {}, it must be finite and at most 1e30", weight.scale));
  }
  return weight;
}

WeightTensor Model::vector(const std::string& name, std::int64_t size) const {
  const WeightTensor weight = require(name, {{size}});
  const DataType type = weight.view.type;
  if (type != DataType::f32 && type != DataType::f16 && type != DataType::bf16) {
    bad(name, fmt::format("is {}, it must be F32, F16 or BF16", info(type).name));
  }
  return weight;
}

void Model::add_norms(const std::string& prefix, LayerTensors& t) const {
  const ModelConfig& c = config_;
  const std::int64_t q = c.n_head * c.head_dim;
  const auto norm = [&](const char* name, std::int64_t size) { return vector(prefix + name + ".weight", size); };
  t.attn_norm = norm("attn_norm", c.n_embd), t.ffn_norm = norm("ffn_norm", c.n_embd);
  if (c.sub_norms) t.attn_sub_norm = norm("attn_sub_norm", q), t.ffn_sub_norm = norm("ffn_sub_norm", c.n_ff);
  if (c.qk_norms) t.attn_q_norm = norm("attn_q_norm", c.head_dim), t.attn_k_norm = norm("attn_k_norm", c.head_dim);
  if (c.post_norms) {
    t.post_attention_norm = norm("post_attention_norm", c.n_embd), t.post_ffw_norm = norm("post_ffw_norm", c.n_embd);
  }
  if (c.input_norms) {
    t.attn_q_norm_in = norm("attn_q_norm_in", c.n_embd), t.attn_k_norm_in = norm("attn_k_norm_in", c.n_embd);
    t.attn_v_norm_in = norm("attn_v_norm_in", c.n_embd), t.attn_output_norm_in = norm("attn_output_norm_in", q);
    t.ffn_gate_norm_in = norm("ffn_gate_norm_in", c.n_embd), t.ffn_up_norm_in = norm("ffn_up_norm_in", c.n_embd);
    t.ffn_down_norm_in = norm("ffn_down_norm_in", c.n_ff);
  }
}

LayerTensors Model::layer(std::int64_t index) const {
  const ModelConfig& c = config_;
  const std::string prefix = fmt::format("blk.{}.", index);
  const std::int64_t q = c.n_head * c.head_dim, kv = c.n_head_kv * c.head_dim;
  LayerTensors t;
  add_norms(prefix, t);
  t.attn_q = matrix(prefix + "attn_q", q, c.n_embd);
  t.attn_k = matrix(prefix + "attn_k", kv, c.n_embd);
  t.attn_v = matrix(prefix + "attn_v", kv, c.n_embd);
  t.attn_output = matrix(prefix + "attn_output", c.n_embd, q);
  t.ffn_gate = matrix(prefix + "ffn_gate", c.n_ff, c.n_embd);
  t.ffn_up = matrix(prefix + "ffn_up", c.n_ff, c.n_embd);
  t.ffn_down = matrix(prefix + "ffn_down", c.n_embd, c.n_ff);
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
void Model::check_rope_freqs() const {
  const TensorView& view = rope_freqs_->view;
  std::vector<float> values(static_cast<std::size_t>(view.shape.elements()));
  scalar_table().decode(view.type, view.bytes.data(), view.shape.elements(), values.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!(values[i] > 0 && values[i] <= 1e30f)) {
      bad(rope_freqs_->name, fmt::format("has {} at {}, it must be above 0 and at most 1e30", values[i], i));
    }
  }
}

void Model::find_tensors() {
  const auto family = std::find_if(architectures().begin(), architectures().end(),
                                   [&](const Architecture& a) { return a.name == config_.architecture; });
  config_.input_norms = family->may_have_input_norms && files_.find("blk.0.attn_q_norm_in.weight") != nullptr;
  refuse_foreign_parts();
  const StoredTensor* embedding = files_.find("token_embd.weight");
  if (embedding == nullptr) bad("token_embd.weight", "is missing");
  const Shape& shape = embedding->shape;
  if (shape.dims.size() != 2 || shape.cols() != config_.n_embd || shape.rows() > max_vocabulary) {
    bad("token_embd.weight",
        fmt::format("has shape {}, the config asks for (1 to {}, {})", shape.text(), max_vocabulary, config_.n_embd));
  }
  config_.n_vocab = shape.rows();
  token_embd_ = require("token_embd.weight", shape);
  output_norm_ = vector("output_norm.weight", config_.n_embd);
  if (files_.find("output.weight") != nullptr) output_ = matrix("output", config_.n_vocab, config_.n_embd);
  if (files_.find("rope_freqs.weight") != nullptr) {
    rope_freqs_ = vector("rope_freqs.weight", config_.rope_dim / 2);
    check_rope_freqs();
  }
  for (std::int64_t i = 0; i < config_.n_layer; ++i) layers_.push_back(layer(i));
}

}  // namespace bitnet
