// Model: a config and its named weights, every shape checked against the config, whatever files they are stored in.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "models/model_config.h"
#include "models/model_files.h"
#include "models/tensor_finder.h"

namespace bitnet {

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
  // Of whatever ModelFiles opens. Every tensor of the architecture must be there in its shape. Other tensors of a GGUF file are
  // left alone, except those known to change the arithmetic (biases, norms that the architecture has not, experts), which are
  // refused; of a folder, all are refused that are not known to change nothing. Throws Error: not_found, io, bad_model,
  // unsupported; the message names the tensor or key.
  static Model open(const std::string& path) { return open(ModelFiles::open(path)); }
  static Model open(ModelFiles files);

  const ModelConfig& config() const { return config_; }
  const ModelFiles& files() const { return files_; }
  const WeightTensor& token_embd() const { return token_embd_; }
  const std::optional<WeightTensor>& output() const { return output_; }            // absent: the head is token_embd
  const std::optional<WeightTensor>& output_norm() const { return output_norm_; }  // always there
  const std::vector<LayerTensors>& layers() const { return layers_; }
  std::vector<const WeightTensor*> weights() const;  // all of them
  std::uint64_t tensor_bytes() const;                // of all weights

  const MappedFile& map_of(const WeightTensor& weight) const { return files_.map(weight.file); }

  // The caller is done with these bytes: their pages need not stay in memory.
  void discard(const WeightTensor& weight) const { map_of(weight).discard(weight.view.bytes); }

 private:
  explicit Model(ModelFiles files) : files_(std::move(files)) {}
  void find_tensors(TensorFinder& finder, std::optional<bool> tied_head);
  void find_embedding(TensorFinder& finder);
  void refuse_foreign_parts() const;
  void read_rope_divisors(TensorFinder& finder);
  LayerTensors layer(TensorFinder& finder, std::int64_t index) const;
  void add_norms(TensorFinder& finder, const std::string& prefix, LayerTensors& t) const;

  ModelFiles files_;
  ModelConfig config_;
  WeightTensor token_embd_;
  std::optional<WeightTensor> output_, output_norm_;
  std::vector<LayerTensors> layers_;
};

}  // namespace bitnet
