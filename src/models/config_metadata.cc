// Writes the keys of an architecture.
#include "models/config_metadata.h"

#include <cmath>

#include "common/error.h"

namespace bitnet {
namespace {

// Sets the keys of one architecture.
class Keys {
 public:
  Keys(GgufMetadata& metadata, const std::string& architecture) : metadata_(metadata), prefix_(architecture + ".") {}

  void size(const char* name, std::int64_t value) { metadata_.u32(prefix_ + name, static_cast<std::uint32_t>(value)); }
  void number(const char* name, float value) { metadata_.f32(prefix_ + name, value); }
  void text(const char* name, std::string_view value) { metadata_.text(prefix_ + name, value); }
  void booleans(const char* name, const std::vector<bool>& values) { metadata_.booleans(prefix_ + name, values); }

 private:
  GgufMetadata& metadata_;
  std::string prefix_;
};

void add_windows(Keys& keys, const ModelConfig& c) {
  if (c.window == 0) return;
  keys.size("attention.sliding_window", c.window);
  bool as_meant = true;  // files mean 5 of 6 layers without saying so, and old readers know nothing else
  for (std::int64_t i = 0; i < c.n_layer; ++i) as_meant = as_meant && c.has_window(i) == (i % 6 < 5);
  if (!as_meant) keys.booleans("attention.sliding_window_pattern", c.windowed);
  keys.number("rope.freq_base_swa", c.window_rope_theta);
}

}  // namespace

GgufMetadata gguf_metadata(const ModelConfig& c) {
  if (!c.rope_divisors.empty()) fail(ErrorKind::unsupported, "rope_scaling of Llama 3.1 is not written to GGUF files");
  GgufMetadata metadata;
  metadata.text("general.architecture", c.architecture);
  if (!c.name.empty()) metadata.text("general.name", c.name);
  Keys keys(metadata, c.architecture);
  keys.size("vocab_size", c.n_vocab), keys.size("context_length", c.n_ctx), keys.size("embedding_length", c.n_embd);
  keys.size("block_count", c.n_layer), keys.size("feed_forward_length", c.n_ff);
  keys.size("rope.dimension_count", c.rope_dim), keys.number("rope.freq_base", c.rope_theta);
  keys.size("attention.head_count", c.n_head), keys.size("attention.head_count_kv", c.n_head_kv);
  if (c.head_dim * c.n_head != c.n_embd) {
    keys.size("attention.key_length", c.head_dim), keys.size("attention.value_length", c.head_dim);
  }
  keys.number("attention.layer_norm_rms_epsilon", c.rms_eps);
  if (c.attention_scale != 1.0f / std::sqrt(static_cast<float>(c.head_dim))) keys.number("attention.scale", c.attention_scale);
  if (c.rope_linear_factor != 1) {
    keys.text("rope.scaling.type", "linear"), keys.number("rope.scaling.factor", c.rope_linear_factor);
  }
  if (find_architecture(c.architecture)->activation != c.activation) keys.text("hidden_activation", name_of(c.activation));
  if (c.pooling != Pooling::none) keys.size("pooling_type", static_cast<std::int64_t>(c.pooling));
  add_windows(keys, c);
  return metadata;
}

}  // namespace bitnet
