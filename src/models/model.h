// Model: a config and its named weights, every shape checked against the config, whatever files they are stored in.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "models/model_config.h"
#include "models/model_files.h"

namespace bitnet {

struct WeightTensor {
  std::string name;        // as the file writes it
  TensorView view;         // into the file's map
  float scale = 1;         // of its companion tensor, multiplied after the matmul
  std::uint32_t file = 0;  // which of the model's files
};

struct LayerTensors {
  std::optional<WeightTensor> attn_norm, attn_sub_norm, ffn_norm, ffn_sub_norm;
  std::optional<WeightTensor> attn_q_norm, attn_k_norm, post_attention_norm, post_ffw_norm;
  // Of each projection's input, with config().input_norms.
  std::optional<WeightTensor> attn_q_norm_in, attn_k_norm_in, attn_v_norm_in, attn_output_norm_in;
  std::optional<WeightTensor> ffn_gate_norm_in, ffn_up_norm_in, ffn_down_norm_in;
  WeightTensor attn_q, attn_k, attn_v, attn_output, ffn_gate, ffn_up, ffn_down;
};

// Owns the mapped files. Move-only; views stay valid while it lives.
class Model {
 public:
  // Of whatever ModelFiles opens. Every tensor of the architecture must be there in its shape. Tensors of other names are left
  // alone, except those known to change the arithmetic (biases, norms that the architecture has not, experts), which are
  // refused. Throws Error: not_found, io, bad_model, unsupported; the message names the tensor or key.
  static Model open(const std::string& path) { return open(ModelFiles::open(path)); }
  static Model open(ModelFiles files);

  const ModelConfig& config() const { return config_; }
  const ModelFiles& files() const { return files_; }
  const WeightTensor& token_embd() const { return token_embd_; }
  const std::optional<WeightTensor>& output() const { return output_; }            // absent: the head is token_embd
  const std::optional<WeightTensor>& output_norm() const { return output_norm_; }  // always there
  const std::optional<WeightTensor>& rope_freqs() const { return rope_freqs_; }    // (rope_dim / 2) divisors of the frequencies
  const std::vector<LayerTensors>& layers() const { return layers_; }
  std::uint64_t tensor_bytes() const;

  const MappedFile& map_of(const WeightTensor& weight) const { return files_.map(weight.file); }

  // The caller is done with these bytes: their pages need not stay in memory.
  void discard(const WeightTensor& weight) const { map_of(weight).discard(weight.view.bytes); }

 private:
  explicit Model(ModelFiles files) : files_(std::move(files)) {}
  void find_tensors();
  void refuse_foreign_parts() const;
  void check_rope_freqs() const;
  [[noreturn]] void bad(std::string_view tensor, const std::string& fact) const;
  WeightTensor require(const std::string& name, const Shape& shape) const;
  void check_tail_scale(const WeightTensor& weight) const;
  float number(const std::string& name) const;  // of a tensor of one F32
  WeightTensor matrix(const std::string& base, std::int64_t rows, std::int64_t cols) const;
  WeightTensor vector(const std::string& name, std::int64_t size) const;
  LayerTensors layer(std::int64_t index) const;
  void add_norms(const std::string& prefix, LayerTensors& t) const;

  ModelFiles files_;
  ModelConfig config_;
  WeightTensor token_embd_;
  std::optional<WeightTensor> output_, output_norm_, rope_freqs_;
  std::vector<LayerTensors> layers_;
};

}  // namespace bitnet
