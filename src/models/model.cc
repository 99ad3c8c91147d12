// Finds a model's tensors by name and checks their shapes.
#include "models/model.h"

#include "common/error.h"

namespace bitnet {

std::uint64_t Model::tensor_bytes() const {
  std::uint64_t total = 0;
  for (const GgufTensor& tensor : file_.tensors()) total += tensor.view.bytes.size();
  return total;
}

Model Model::open(const std::string& path) {
  if (path.ends_with(".safetensors")) {
    fail(ErrorKind::unsupported, "{}: SafeTensors and HuggingFace folders are not supported by this build, give a GGUF file",
         printable(path, 512));
  }
  Model model(GgufFile::open(path));
  model.config_ = read_config(model.file_);
  model.find_tensors();
  return model;
}

const GgufTensor& Model::require(const std::string& name, const Shape& shape) const {
  const GgufTensor* tensor = file_.find_tensor(name);
  if (tensor == nullptr) fail(ErrorKind::bad_model, "{}: tensor '{}' is missing", printable(file_.path(), 512), name);
  if (tensor->view.shape != shape) {
    fail(ErrorKind::bad_model, "{}: tensor '{}' has shape {}, the config asks for {}", printable(file_.path(), 512), name,
         tensor->view.shape.text(), shape.text());
  }
  return *tensor;
}

// BASE.weight with its companion BASE.scale, a single float that some converters write beside ternary values of -1, 0 and 1.
WeightTensor Model::matrix(const std::string& base, std::int64_t rows, std::int64_t cols) const {
  if (file_.find_tensor(base + ".bias") != nullptr) {
    fail(ErrorKind::unsupported, "{}: tensor '{}.bias': biases are not supported", printable(file_.path(), 512), base);
  }
  WeightTensor weight{base + ".weight", require(base + ".weight", {{rows, cols}}).view};
  if (file_.find_tensor(base + ".scale") == nullptr) return weight;
  const TensorView scale = require(base + ".scale", {{1}}).view;
  if (scale.type != DataType::f32)
    fail(ErrorKind::bad_model, "{}: tensor '{}.scale' is {}, it must be F32", printable(file_.path(), 512), base,
         info(scale.type).name);
  Cursor in(scale.bytes, file_.path());
  weight.scale = in.number<float>("scale");
  if (!(weight.scale > -1e30f && weight.scale < 1e30f))
    fail(ErrorKind::bad_model, "{}: tensor '{}.scale' is {}, it must be finite", printable(file_.path(), 512), base,
         weight.scale);
  return weight;
}

WeightTensor Model::vector(const std::string& name, std::int64_t size) const {
  const TensorView view = require(name, {{size}}).view;
  if (view.type != DataType::f32 && view.type != DataType::f16 && view.type != DataType::bf16) {
    fail(ErrorKind::bad_model, "{}: tensor '{}' is {}, it must be F32, F16 or BF16", printable(file_.path(), 512), name,
         info(view.type).name);
  }
  return {name, view};
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

void Model::find_tensors() {
  const GgufTensor* embedding = file_.find_tensor("token_embd.weight");
  if (embedding == nullptr)
    fail(ErrorKind::bad_model, "{}: tensor 'token_embd.weight' is missing", printable(file_.path(), 512));
  const Shape& shape = embedding->view.shape;
  if (shape.dims.size() != 2 || shape.cols() != config_.n_embd || shape.rows() > std::int64_t{1} << 24) {
    fail(ErrorKind::bad_model, "{}: tensor 'token_embd.weight' has shape {}, the config asks for (vocabulary, {})",
         printable(file_.path(), 512), shape.text(), config_.n_embd);
  }
  config_.n_vocab = shape.rows();
  token_embd_ = {"token_embd.weight", embedding->view};
  output_norm_ = vector("output_norm.weight", config_.n_embd);
  if (file_.find_tensor("output.weight") != nullptr) output_ = matrix("output", config_.n_vocab, config_.n_embd);
  if (file_.find_tensor("rope_freqs.weight") != nullptr) rope_freqs_ = vector("rope_freqs.weight", config_.rope_dim / 2);
  for (std::int64_t i = 0; i < config_.n_layer; ++i) layers_.push_back(layer(i));
}

}  // namespace bitnet
