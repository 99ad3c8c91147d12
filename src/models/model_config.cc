// The known families, and the checks that make a file's numbers safe to compute with.
#include "models/model_config.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "common/error.h"
#include "models/gguf_reader.h"

namespace bitnet {
namespace {

constexpr std::array<Architecture, 6> table = {{
    // Microsoft's 2B-4T, under both names it was published with: relu(gate)^2 * up.
    {.name = "bitnet-b1.58", .activation = Activation::relu2, .rope_kind = RopeKind::neox, .sub_norms = true},
    {.name = "bitnet-25", .activation = Activation::relu2, .rope_kind = RopeKind::neox, .sub_norms = true},
    // The 1bitLLM family.
    {.name = "bitnet", .activation = Activation::silu, .rope_kind = RopeKind::neox, .sub_norms = true},
    // Llama, TriLM, Falcon-E, Falcon3, Llama3-8B-1.58 and dense models of that shape.
    {.name = "llama", .activation = Activation::silu, .rope_kind = RopeKind::norm},
    // Qwen3, Ternary-Bonsai and BitNet-embedding-0.6B.
    {.name = "qwen3",
     .activation = Activation::silu,
     .rope_kind = RopeKind::neox,
     .qk_norms = true,
     .may_have_input_norms = true},
    // Gemma 3 and BitNet-embedding-270M. Its norms are stored as they multiply, without HuggingFace's offset of 1.
    {.name = "gemma3",
     .activation = Activation::gelu,
     .rope_kind = RopeKind::neox,
     .qk_norms = true,
     .post_norms = true,
     .may_have_input_norms = true,
     .scales_embedding = true,
     .windows = true},
}};

// Keys of related models that change the arithmetic, with the value that changes nothing. Ignoring another value would give
// wrong text without a word.
struct NeutralKey {
  std::string_view name;
  double value;
};
constexpr std::array<NeutralKey, 9> neutral_keys = {{
    {"expert_count", 0},
    {"logit_scale", 1},
    {"residual_scale", 1},
    {"embedding_scale", 1},
    {"attention.clamp_kqv", 0},
    {"attention.max_alibi_bias", 0},
    {"attn_logit_softcapping", 0},
    {"final_logit_softcapping", 0},
    {"rope.scaling.attn_factor", 1},
}};

// Layers of Gemma 3 27B, the one size whose scores have a scale of their own: llama.cpp knows it by them, no key says so.
constexpr std::int64_t gemma3_27b_layers = 62;

using namespace config_bounds;

const Architecture& architecture_of(const GgufFile& file) {
  const std::string path = printable(file.path(), 512);
  const auto name = file.find_string("general.architecture");
  if (!name) fail(ErrorKind::bad_model, "{}: general.architecture is missing", path);
  if (const Architecture* found = find_architecture(*name)) return *found;
  std::string known;
  for (const Architecture& a : table) known += (known.empty() ? "" : ", ") + std::string(a.name);
  fail(ErrorKind::bad_model, "{}: general.architecture is '{}', supported are {}", path, printable(*name), known);
}

// Reads the keys of one architecture, naming them in full in every error.
class Keys {
 public:
  Keys(const GgufFile& file, std::string_view architecture) : file_(file), prefix_(std::string(architecture) + ".") {}

  [[noreturn]] void bad(std::string_view name, const std::string& fact) const {
    fail(ErrorKind::bad_model, "{}: {}{} {}", printable(file_.path(), 512), prefix_, name, fact);
  }

  std::optional<std::int64_t> find(std::string_view name, std::int64_t low, std::int64_t high) const {
    const auto value = file_.find_unsigned(prefix_ + std::string(name));
    if (!value) return std::nullopt;
    if (*value < static_cast<std::uint64_t>(low) || *value > static_cast<std::uint64_t>(high)) {
      bad(name, fmt::format("is {}, allowed are {} to {}", *value, low, high));
    }
    return static_cast<std::int64_t>(*value);
  }

  std::int64_t require(std::string_view name, std::int64_t low, std::int64_t high) const {
    const auto value = find(name, low, high);
    if (!value) bad(name, "is missing");
    return *value;
  }

  // A number that some converters write once per layer: the entries must agree. nullopt when the key is absent.
  std::optional<std::int64_t> find_uniform(std::string_view name, std::int64_t n_layer, std::int64_t low,
                                           std::int64_t high) const {
    const std::string key = prefix_ + std::string(name);
    const GgufValue* value = file_.find(key);
    if (value == nullptr || value->type != GgufType::array) return find(name, low, high);
    const std::vector<std::int64_t> values = file_.find_integers(key);
    if (values.size() != static_cast<std::size_t>(n_layer)) {
      bad(name, fmt::format("has {} entries for {} layers", values.size(), n_layer));
    }
    const auto other = std::find_if(values.begin(), values.end(), [&](std::int64_t v) { return v != values.front(); });
    if (other != values.end()) {
      bad(name, fmt::format("is {} in layer 0 and {} in layer {}, layers that differ are not supported", values.front(), *other,
                            other - values.begin()));
    }
    if (values.front() < low || values.front() > high) {
      bad(name, fmt::format("is {}, allowed are {} to {}", values.front(), low, high));
    }
    return values.front();
  }

  // Checked again as a float: a double just above `low` can round to a float that is not.
  std::optional<float> find_float(std::string_view name, float low, float high) const {
    const auto number = file_.find_number(prefix_ + std::string(name));
    if (!number) return std::nullopt;
    const bool fits = *number > low && *number <= high && static_cast<float>(*number) > low;
    if (!fits) bad(name, fmt::format("is {}, it must be above {} and at most {}", *number, low, high));
    return static_cast<float>(*number);
  }

  // Which of n layers a pattern names: an array with one boolean or integer a layer, or n for all but each n-th.
  std::vector<bool> layer_pattern(std::string_view name, std::int64_t n_layer, std::int64_t period) const {
    const std::string key = prefix_ + std::string(name);
    const GgufValue* value = file_.find(key);
    std::vector<bool> layers;
    if (value == nullptr || value->type != GgufType::array) {
      period = find(name, 0, max_layers).value_or(period);
      for (std::int64_t i = 0; i < n_layer; ++i) layers.push_back(period == 0 || i % period < period - 1);
      return layers;
    }
    const auto& array = std::get<GgufArray>(value->value);
    if (array.count != static_cast<std::uint64_t>(n_layer)) {
      bad(name, fmt::format("has {} entries for {} layers", array.count, n_layer));
    }
    if (array.type == GgufType::boolean) {
      for (const std::byte b : array.bytes) layers.push_back(b != std::byte{0});
    } else {
      for (const std::int64_t entry : file_.find_integers(key)) layers.push_back(entry != 0);
    }
    return layers;
  }

  void require_neutral(const NeutralKey& key) const {
    const auto value = file_.find_number(prefix_ + std::string(key.name));
    if (value && *value != key.value) bad(key.name, fmt::format("is {}, only {} is supported", *value, key.value));
  }

  std::optional<std::string_view> find_string(std::string_view name) const {
    return file_.find_string(prefix_ + std::string(name));
  }
  std::optional<bool> find_bool(std::string_view name) const { return file_.find_bool(prefix_ + std::string(name)); }

 private:
  const GgufFile& file_;
  std::string prefix_;
};

void read_sizes(const Keys& keys, ModelConfig& c) {
  c.n_layer = keys.require("block_count", 1, max_layers);
  c.n_embd = keys.require("embedding_length", 1, max_width);
  c.n_ctx = keys.require("context_length", 1, max_context);
  const auto n_ff = keys.find_uniform("feed_forward_length", c.n_layer, 1, max_width);
  if (!n_ff) keys.bad("feed_forward_length", "is missing");
  c.n_ff = *n_ff;
  const auto eps = keys.find_float("attention.layer_norm_rms_epsilon", 0, 1);
  if (!eps) keys.bad("attention.layer_norm_rms_epsilon", "is missing");
  c.rms_eps = *eps;
}

// The heads' count and length; keys and values are stored for each group of heads only.
void read_heads(const Keys& keys, ModelConfig& c) {
  const auto n_head = keys.find_uniform("attention.head_count", c.n_layer, 1, max_heads);
  if (!n_head) keys.bad("attention.head_count", "is missing");
  c.n_head = *n_head;
  c.n_head_kv = keys.find_uniform("attention.head_count_kv", c.n_layer, 1, max_heads).value_or(c.n_head);
  if (c.n_head % c.n_head_kv != 0) {
    keys.bad("attention.head_count_kv", fmt::format("is {}, it must divide the {} heads", c.n_head_kv, c.n_head));
  }
  const auto key_length = keys.find("attention.key_length", 1, max_head_dim);
  if (!key_length && c.n_embd % c.n_head != 0) {
    keys.bad("attention.head_count", fmt::format("is {}, it must divide the {} of embedding_length", c.n_head, c.n_embd));
  }
  c.head_dim = key_length.value_or(c.n_embd / c.n_head);
  if (c.head_dim > max_head_dim) {
    keys.bad("attention.head_count", fmt::format("gives heads of {} elements, allowed are 1 to {}", c.head_dim, max_head_dim));
  }
  const auto value_length = keys.find("attention.value_length", 1, max_head_dim);
  if (value_length.value_or(c.head_dim) != c.head_dim) {
    keys.bad("attention.value_length",
             fmt::format("is {}, keys have {}: different lengths are not supported", *value_length, c.head_dim));
  }
  const bool by_width = c.architecture == "gemma3" && c.n_layer == gemma3_27b_layers;
  const auto width = static_cast<float>(by_width ? c.n_embd / c.n_head : c.head_dim);
  c.attention_scale = keys.find_float("attention.scale", 0, 1e6f).value_or(1.0f / std::sqrt(width));
  if (!keys.find_bool("attention.causal").value_or(true)) {
    keys.bad("attention.causal", "is false, only causal models are supported");
  }
}

void read_rope(const Keys& keys, ModelConfig& c) {
  c.rope_dim = keys.find("rope.dimension_count", 2, c.head_dim).value_or(c.head_dim);
  if (c.rope_dim % 2 != 0) keys.bad("rope.dimension_count", fmt::format("is {}, it must be even", c.rope_dim));
  c.rope_theta = keys.find_float("rope.freq_base", 1, 1e12f).value_or(10000.0f);
  // A factor without a type is linear, and so is the factor under its older name (ggml/docs/gguf.md).
  const std::string_view scaling = keys.find_string("rope.scaling.type").value_or("linear");
  if (scaling != "none" && scaling != "linear") {
    keys.bad("rope.scaling.type", fmt::format("is '{}', supported are none and linear", printable(scaling)));
  }
  if (scaling == "none") return;
  const auto factor = keys.find_float("rope.scaling.factor", 0, 1e6f), older = keys.find_float("rope.scale_linear", 0, 1e6f);
  c.rope_linear_factor = factor.value_or(older.value_or(1.0f));
}

// Sliding windows: 5 of 6 layers of Gemma 3 unless a pattern says otherwise. Elsewhere a window may only be as wide as the
// context.
void read_windows(const Keys& keys, bool family_has_them, ModelConfig& c) {
  const std::int64_t window = keys.find("attention.sliding_window", 0, max_context).value_or(0);
  if (!family_has_them) {
    if (window != 0 && window < c.n_ctx) {
      keys.bad("attention.sliding_window", fmt::format("is {}, only 0 and {} (context_length) or more are supported for this "
                                                       "architecture",
                                                       window, c.n_ctx));
    }
    return;
  }
  if (window == 0) return;
  c.window = window;
  c.windowed = keys.layer_pattern("attention.sliding_window_pattern", c.n_layer, 6);
  c.window_rope_theta = keys.find_float("rope.freq_base_swa", 1, 1e12f).value_or(10000.0f);
}

void read_pooling(const Keys& keys, ModelConfig& c) {
  constexpr std::int64_t rank = 4;
  const std::int64_t type = keys.find("pooling_type", 0, rank).value_or(0);
  if (type == rank) keys.bad("pooling_type", "is 4 (rank), supported are 0 to 3 (none, mean, cls, last)");
  c.pooling = static_cast<Pooling>(type);
}

void read_activation(const Keys& keys, ModelConfig& c) {
  const auto name = keys.find_string("hidden_activation");
  if (!name) return;
  if (*name == "relu2" || *name == "relu_sqr" || *name == "squared_relu") {
    c.activation = Activation::relu2;
  } else if (*name == "silu" || *name == "swish") {
    c.activation = Activation::silu;
  } else if (*name == "gelu_pytorch_tanh" || *name == "gelu_tanh") {
    c.activation = Activation::gelu;
  } else {
    keys.bad("hidden_activation", fmt::format("is '{}', supported are relu2, silu and gelu_pytorch_tanh", printable(*name)));
  }
}

// Bonsai 2 multiplies activations by Hadamard matrices, and says so in keys of its maker's.
void refuse_transforms(const GgufFile& file) {
  for (const GgufEntry& entry : file.entries()) {
    if (!entry.key.starts_with("prism.hadamard")) continue;
    fail(ErrorKind::unsupported, "{}: {} asks for a transform of activations that is not supported",
         printable(file.path(), 512), printable(entry.key));
  }
}

}  // namespace

std::span<const Architecture> architectures() { return table; }

const Architecture* find_architecture(std::string_view name) {
  const auto* found = std::find_if(table.begin(), table.end(), [&](const Architecture& a) { return a.name == name; });
  return found == table.end() ? nullptr : found;
}

std::string_view name_of(Pooling pooling) {
  constexpr std::array<std::string_view, 4> names = {"none", "mean", "cls", "last"};
  return names[static_cast<std::size_t>(pooling)];
}

std::string_view name_of(Activation activation) {
  constexpr std::array<std::string_view, 3> names = {"relu2", "silu", "gelu_pytorch_tanh"};
  return names[static_cast<std::size_t>(activation)];
}

ModelConfig read_config(const GgufFile& file) {
  const Architecture& architecture = architecture_of(file);
  const Keys keys(file, architecture.name);
  ModelConfig c;
  c.architecture = architecture.name;
  c.name = std::string(file.find_string("general.name").value_or(""));
  c.description = std::string(file.find_string("general.description").value_or(""));
  c.activation = architecture.activation;
  c.rope_kind = architecture.rope_kind;
  c.sub_norms = architecture.sub_norms, c.qk_norms = architecture.qk_norms, c.post_norms = architecture.post_norms;
  for (const NeutralKey& key : neutral_keys) keys.require_neutral(key);
  refuse_transforms(file);
  read_sizes(keys, c);
  read_heads(keys, c);
  read_rope(keys, c);
  read_windows(keys, architecture.windows, c);
  read_activation(keys, c);
  read_pooling(keys, c);
  if (architecture.scales_embedding) c.embedding_scale = std::sqrt(static_cast<float>(c.n_embd));
  return c;
}

}  // namespace bitnet
