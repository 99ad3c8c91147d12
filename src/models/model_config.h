// ModelConfig: the numbers and choices that define a model's arithmetic, and the families known.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernel_table.h"

namespace bitnet {

class GgufFile;

// A model family is a row of data. Sources: the architectures of llama.cpp and the HuggingFace models they come from.
struct Architecture {
  std::string_view name;  // general.architecture, also the prefix of its keys
  Activation activation;
  RopeKind rope_kind;                 // norm where converters permuted queries and keys
  bool sub_norms = false;             // attn_sub_norm and ffn_sub_norm before the output and down projections
  bool qk_norms = false;              // attn_q_norm and attn_k_norm over each head before RoPE
  bool post_norms = false;            // post_attention_norm and post_ffw_norm before the residual additions
  bool may_have_input_norms = false;  // a norm of its own before each projection, as BitNet embedding models have
  bool scales_embedding = false;      // by sqrt(embedding_length)
  bool windows = false;               // layers that see only the latest positions, when attention.sliding_window is there
};

std::span<const Architecture> architectures();
const Architecture* find_architecture(std::string_view name);  // null for one that is not known

// What a sane model stays below; each is far above anything published.
namespace config_bounds {
constexpr std::int64_t max_layers = 1024, max_width = 1 << 20, max_heads = 4096, max_head_dim = 4096, max_context = 1 << 27;
constexpr std::int64_t max_vocabulary = 1 << 24;
}  // namespace config_bounds

// How the last hidden states of a text become one vector. The numbers are llama.cpp's (pooling_type), rank left out.
enum class Pooling : std::uint8_t { none, mean, cls, last };
std::string_view name_of(Pooling pooling);
std::string_view name_of(Activation activation);

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
  float rope_linear_factor = 1;      // positions are divided by it
  std::vector<float> rope_divisors;  // (rope_dim / 2) of the frequencies, Llama 3.1's way to scale; empty: none
  float attention_scale = 0;         // of q . k; 1 / sqrt(head_dim) unless the file gives its own
  std::int64_t window = 0;           // positions that a layer with a window sees, its own included; 0: there are none
  std::vector<bool> windowed;        // (n_layer) who has a window; empty when window is 0
  float window_rope_theta = 0;       // of layers with a window, whose positions no linear factor divides
  float embedding_scale = 1;         // of the embedded token
  Activation activation = Activation::silu;
  RopeKind rope_kind = RopeKind::norm;
  bool sub_norms = false, qk_norms = false, post_norms = false, input_norms = false;  // as in Architecture
  Pooling pooling = Pooling::none;                                                    // what the file asks for

  bool has_window(std::int64_t layer) const { return window > 0 && windowed[static_cast<std::size_t>(layer)]; }
};

// Reads the keys of the file's architecture; n_vocab stays 0 and input_norms false. Throws Error{bad_model} naming the key, its
// value and what is allowed: also for an unknown architecture and for keys that ask for arithmetic this build does not do
// (another rope scaling, experts, ...).
ModelConfig read_config(const GgufFile& file);

}  // namespace bitnet
