// GGUF names to HuggingFace names, by a table.
#include "models/tensor_names.h"

#include <array>

namespace bitnet {
namespace {

struct Pair {
  std::string_view gguf, huggingface;
};

// Parts of a layer. Two rows of one part are two names in use: the first where neither is there, the second where both are, as
// Gemma uses a name of others for another part.
constexpr std::array<Pair, 25> layer_parts = {{
    {"attn_norm", "input_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_sub_norm", "self_attn.attn_sub_norm"},
    {"attn_sub_norm", "self_attn.inner_attn_ln"},
    {"attn_output", "self_attn.o_proj"},
    {"ffn_norm", "post_attention_layernorm"},
    {"ffn_norm", "pre_feedforward_layernorm"},
    {"post_attention_norm", "post_attention_layernorm"},
    {"post_ffw_norm", "post_feedforward_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_sub_norm", "mlp.ffn_sub_norm"},
    {"ffn_sub_norm", "mlp.ffn_layernorm"},
    {"ffn_down", "mlp.down_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"attn_q_norm_in", "self_attn.q_proj.rms_norm"},
    {"attn_k_norm_in", "self_attn.k_proj.rms_norm"},
    {"attn_v_norm_in", "self_attn.v_proj.rms_norm"},
    {"attn_output_norm_in", "self_attn.o_proj.rms_norm"},
    {"ffn_gate_norm_in", "mlp.gate_proj.rms_norm"},
    {"ffn_up_norm_in", "mlp.up_proj.rms_norm"},
    {"ffn_down_norm_in", "mlp.down_proj.rms_norm"},
}};

constexpr std::array<Pair, 2> model_parts = {{
    {"token_embd", "embed_tokens"},
    {"output_norm", "norm"},
}};

}  // namespace

TensorNames::TensorNames(const ModelFiles& files) : files_(files) {
  if (files.find("model.embed_tokens.weight") != nullptr || files.find("embed_tokens.weight") == nullptr) prefix_ = "model.";
}

std::string TensorNames::stored(std::string_view part) const {
  if (files_.folder() == nullptr) return std::string(part);
  const std::size_t dot = part.rfind('.');
  const std::string kind = part.substr(dot) == ".scale" ? ".weight_scale" : std::string(part.substr(dot));
  std::string_view base = part.substr(0, dot);
  if (base == "output") return "lm_head" + kind;
  for (const Pair& pair : model_parts) {
    if (pair.gguf == base) return prefix_ + std::string(pair.huggingface) + kind;
  }
  if (!base.starts_with("blk.")) return std::string(part);
  base.remove_prefix(4);
  const std::string layer = prefix_ + "layers." + std::string(base.substr(0, base.find('.') + 1));
  base.remove_prefix(base.find('.') + 1);
  std::string name;
  for (const Pair& pair : layer_parts) {
    if (pair.gguf != base) continue;
    std::string candidate = layer + std::string(pair.huggingface) + kind;
    if (name.empty() || files_.find(candidate) != nullptr) name = std::move(candidate);
  }
  return name;
}

bool TensorNames::is_without_effect(std::string_view stored) { return stored.ends_with(".rotary_emb.inv_freq"); }

}  // namespace bitnet
