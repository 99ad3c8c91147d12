// ModelConfig: the numbers and choices that define a model's arithmetic, and the families known.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "kernels/kernel_table.h"

namespace bitnet {

class GgufFile;

// A model family is a row of data. Sources: the architectures of llama.cpp and the HuggingFace models they come from.
struct Architecture {
  std::string_view name;  // general.architecture, also the prefix of its keys
  Activation activation;
  RopeKind rope_kind;  // norm where converters permuted queries and keys
  bool sub_norms;      // attn_sub_norm and ffn_sub_norm before the output and down projections
};

std::span<const Architecture> architectures();

// Plain values, checked: every size is in bounds, heads divide, floats are finite.
struct ModelConfig {
  std::string architecture;
  std::string name, description;  // general.name and general.description, for display only
  std::int64_t n_layer = 0, n_embd = 0, n_ff = 0, n_head = 0, n_head_kv = 0;
  std::int64_t head_dim = 0;  // of queries, keys and values
  std::int64_t rope_dim = 0;  // rotated elements of a head, even, at most head_dim
  std::int64_t n_vocab = 0;   // rows of token_embd
  std::int64_t n_ctx = 0;     // positions the model was trained for
  float rms_eps = 0, rope_theta = 0;
  float rope_linear_factor = 1;  // positions are divided by it
  float attention_scale = 0;     // of q . k; 1 / sqrt(head_dim) unless the file gives its own
  Activation activation = Activation::silu;
  RopeKind rope_kind = RopeKind::norm;
  bool sub_norms = false;
};

// Reads the keys of the file's architecture; n_vocab stays 0. Throws Error{bad_model} naming the key, its value and what is
// allowed: also for an unknown architecture and for keys that ask for arithmetic this build does not do (another rope scaling,
// experts, ...).
ModelConfig read_config(const GgufFile& file);

}  // namespace bitnet
