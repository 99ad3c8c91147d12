// Finds a model's tensors by name and checks their shapes.
#include "models/model.h"

#include <algorithm>
#include <array>

#include "common/error.h"

namespace bitnet {
namespace {

// Parts of names of tensors that related models have and that change the result: ignoring one would give wrong text without a
// word.
constexpr std::array<std::string_view, 14> foreign_parts = {
    ".bias",     ".attn_q_norm.", ".attn_k_norm.", ".attn_qkv.", ".attn_sinks.",     ".post_attention_norm.", ".post_ffw_norm.",
    "_norm_in.", ".ffn_gate_inp", "_exps.",        "_shexp.",    "token_embd_norm.", "position_embd.",        "rope_factors_",
};
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
  return {name, {*tensor->data_type, tensor->shape, tensor->bytes}, 1, tensor->file};
}

// BASE.weight with its companion BASE.scale, a single float that some converters write beside ternary values of -1, 0 and 1.
WeightTensor Model::matrix(const std::string& base, std::int64_t rows, std::int64_t cols) const {
  WeightTensor weight = require(base + ".weight", {{rows, cols}});
  if (files_.find(base + ".scale") == nullptr) return weight;
  const TensorView scale = require(base + ".scale", {{1}}).view;
  if (scale.type != DataType::f32) bad(base + ".scale", fmt::format("is {}, it must be F32", info(scale.type).name));
  Cursor in(scale.bytes, files_.path());
  weight.scale = in.number<float>("scale");
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

LayerTensors Model::layer(std::int64_t index) const {
  const ModelConfig& c = config_;
  const std::string prefix = fmt::format("blk.{}.", index);
  const std::int64_t q = c.n_head * c.head_dim, kv = c.n_head_kv * c.head_dim;
  LayerTensors t;
  t.attn_norm = vector(prefix + "attn_norm.weight", c.n_embd);
  t.ffn_norm = vector(prefix + "ffn_norm.weight", c.n_embd);
  if (c.sub_norms) {
    t.attn_sub_norm = vector(prefix + "attn_sub_norm.weight", q);
    t.ffn_sub_norm = vector(prefix + "ffn_sub_norm.weight", c.n_ff);
  }
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
    const bool sub_norm = !config_.sub_norms && contains("_sub_norm.");
    if (sub_norm || std::any_of(foreign_parts.begin(), foreign_parts.end(), contains)) {
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
