// The known model classes, and the checks that make config.json's numbers safe to compute with.
#include "models/huggingface_config.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "common/error.h"
#include "kernels/elementary.h"

namespace bitnet {
namespace {

constexpr std::array<HuggingFaceFamily, 7> table = {{
    // microsoft/bitnet-b1.58-2B-4T, packed or with full-precision master weights.
    {"BitNetForCausalLM", "bitnet-b1.58", 500000},
    // 1bitLLM/bitnet_b1_58-large and -3B: master weights alone, and no quantization_config.
    {"BitnetForCausalLM", "bitnet", 10000, true},
    // HF1BitLLM/Llama3-8B-1.58, Falcon3-1.58bit, Falcon-E (packed); TriLM (float weights of ternary values); dense models.
    {"LlamaForCausalLM", "llama", 10000},
    // Qwen3 and models made from it; the second has no head of its own, as models that embed texts are saved.
    {"Qwen3ForCausalLM", "qwen3", 10000},
    {"Qwen3Model", "qwen3", 10000},
    // Gemma 3's text models, likewise.
    {"Gemma3ForCausalLM", "gemma3", 1000000, false, true},
    {"Gemma3TextModel", "gemma3", 1000000, false, true},
}};

// Keys of related models that change the arithmetic, with the value that changes nothing.
struct NeutralKey {
  const char* name;
  double value;  // a boolean's as 0 or 1
};
constexpr std::array<NeutralKey, 11> neutral_keys = {{
    {"attention_bias", 0},
    {"mlp_bias", 0},
    {"use_sliding_window", 0},
    {"partial_rotary_factor", 1},
    {"num_local_experts", 0},
    {"embedding_multiplier", 1},
    {"residual_multiplier", 1},
    {"logits_scaling", 1},
    {"final_logit_softcapping", 0},
    {"attn_logit_softcapping", 0},
    {"use_bidirectional_attention", 0},
}};

// Reads one object's members, naming them in full in every error. null counts as absent.
class Members {
 public:
  Members(const Json& object, std::string file, std::string prefix = "")
      : object_(object), file_(std::move(file)), prefix_(std::move(prefix)) {}

  [[noreturn]] void bad(std::string_view name, const std::string& fact, ErrorKind kind = ErrorKind::bad_model) const {
    fail(kind, "{}: {}{} {}", printable(file_, 512), prefix_, name, fact);
  }

  const Json* find(std::string_view name) const {
    const auto found = object_.find(name);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  std::optional<std::int64_t> find_integer(std::string_view name, std::int64_t low, std::int64_t high) const {
    const Json* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number_integer()) bad(name, "is " + shown(*value) + ", it must be an integer");
    const bool fits = value->is_number_unsigned() ? value->get<std::uint64_t>() <= static_cast<std::uint64_t>(high)
                                                  : value->get<std::int64_t>() <= high;
    if (!fits || value->get<std::int64_t>() < low) {
      bad(name, fmt::format("is {}, allowed are {} to {}", shown(*value), low, high));
    }
    return value->get<std::int64_t>();
  }

  std::int64_t integer(std::string_view name, std::int64_t low, std::int64_t high) const {
    const auto value = find_integer(name, low, high);
    if (!value) bad(name, "is missing");
    return *value;
  }

  // Checked as a float: a double just above `low` can round to a float that is not.
  std::optional<float> find_float(std::string_view name, float low, float high) const {
    const Json* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number()) bad(name, "is " + shown(*value) + ", it must be a number");
    const auto number = value->get<double>();
    const bool fits = number > low && number <= high && static_cast<float>(number) > low;
    if (!fits) bad(name, fmt::format("is {}, it must be above {} and at most {}", shown(*value), low, high));
    return static_cast<float>(number);
  }

  float number(std::string_view name, float low, float high) const {
    const auto value = find_float(name, low, high);
    if (!value) bad(name, "is missing");
    return *value;
  }

  std::optional<bool> find_bool(std::string_view name) const {
    const Json* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_boolean()) bad(name, "is " + shown(*value) + ", it must be true or false");
    return value->get<bool>();
  }

  std::optional<std::string> find_string(std::string_view name) const {
    const Json* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) bad(name, "is " + shown(*value) + ", it must be a string");
    return value->get<std::string>();
  }

  std::optional<Members> find_object(const std::string& name) const {
    const Json* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_object()) bad(name, "is " + shown(*value) + ", it must be an object");
    return Members(*value, file_, prefix_ + name + ".");
  }

  void require_neutral(const NeutralKey& key) const {
    const Json* value = find(key.name);
    if (value == nullptr) return;
    const bool is_boolean = value->is_boolean();
    if (is_boolean ? value->get<bool>() == (key.value != 0) : value->is_number() && value->get<double>() == key.value) return;
    bad(key.name, fmt::format("is {}, only {} is supported", shown(*value), key.value), ErrorKind::unsupported);
  }

  // One of a few words; the first when absent.
  std::string one_of(std::string_view name, std::initializer_list<std::string_view> words) const {
    const std::string value = find_string(name).value_or(std::string(*words.begin()));
    if (std::find(words.begin(), words.end(), value) == words.end()) {
      bad(name, fmt::format("is '{}', supported are {}", printable(value), fmt::join(words, ", ")), ErrorKind::unsupported);
    }
    return value;
  }

  static std::string shown(const Json& value) {
    if (value.is_structured()) return value.is_array() ? "an array" : "an object";
    return printable(value.dump(-1, ' ', true, Json::error_handler_t::replace));
  }

 private:
  const Json& object_;
  std::string file_, prefix_;
};

const HuggingFaceFamily& find_family(const Members& config) {
  const Json* classes = config.find("architectures");
  const bool has_one = classes != nullptr && classes->is_array() && classes->size() == 1 && classes->front().is_string();
  if (!has_one) config.bad("architectures", "must be an array with the name of one model class");
  const auto& name = classes->front().get_ref<const std::string&>();
  std::string known;
  for (const HuggingFaceFamily& family : table) {
    if (family.model_class == name) return family;
    known += (known.empty() ? "" : ", ") + std::string(family.model_class);
  }
  config.bad("architectures", fmt::format("is '{}', supported are {}", printable(name), known));
}

void read_sizes(const Members& config, ModelConfig& c) {
  using namespace config_bounds;
  c.n_layer = config.integer("num_hidden_layers", 1, max_layers);
  c.n_embd = config.integer("hidden_size", 1, max_width);
  c.n_ff = config.integer("intermediate_size", 1, max_width);
  c.n_ctx = config.integer("max_position_embeddings", 1, max_context);
  c.n_vocab = config.integer("vocab_size", 1, max_vocabulary);
  c.rms_eps = config.number("rms_norm_eps", 0, 1);
  c.n_head = config.integer("num_attention_heads", 1, max_heads);
  c.n_head_kv = config.find_integer("num_key_value_heads", 1, max_heads).value_or(c.n_head);
  if (c.n_head % c.n_head_kv != 0) {
    config.bad("num_key_value_heads", fmt::format("is {}, it must divide the {} heads", c.n_head_kv, c.n_head));
  }
  const auto head_dim = config.find_integer("head_dim", 1, max_head_dim);
  if (!head_dim && c.n_embd % c.n_head != 0) {
    config.bad("num_attention_heads", fmt::format("is {}, it must divide the {} of hidden_size", c.n_head, c.n_embd));
  }
  c.head_dim = head_dim.value_or(c.n_embd / c.n_head);
  if (c.head_dim > max_head_dim || c.head_dim % 2 != 0) {
    config.bad("num_attention_heads",
               fmt::format("gives heads of {} elements, allowed are even numbers to {}", c.head_dim, max_head_dim));
  }
  c.rope_dim = c.head_dim;
  c.attention_scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
}

// Llama 3.1's scaling: long waves are stretched by `factor`, short ones are not, those between in part.
std::vector<float> llama3_divisors(const Members& rope, const ModelConfig& c) {
  const double factor = rope.number("factor", 0, 1e6f);
  const double low = rope.number("low_freq_factor", 0, 1e6f), high = rope.number("high_freq_factor", 0, 1e6f);
  const auto trained = static_cast<double>(
      rope.find_integer("original_max_position_embeddings", 1, config_bounds::max_context).value_or(c.n_ctx));
  if (high <= low) rope.bad("high_freq_factor", fmt::format("is {}, it must be above low_freq_factor, which is {}", high, low));
  std::vector<float> divisors(static_cast<std::size_t>(c.rope_dim / 2));
  rope_inverse_frequencies(static_cast<double>(c.rope_theta), c.rope_dim, divisors.data());
  for (float& divisor : divisors) {
    const double waves = trained * static_cast<double>(divisor) / 6.283185307179586;  // in the context it was trained for
    const double smooth = std::clamp((waves - low) / (high - low), 0.0, 1.0);
    divisor = static_cast<float>(1 / ((1 - smooth) / factor + smooth));
  }
  return divisors;
}

// "rope_parameters" is the newer name of "rope_scaling", and holds rope_theta too; of models with windows, for each kind of
// layer.
std::optional<Members> rope_parameters(const Members& config, const char* kind) {
  const auto all = config.find_object("rope_parameters");
  const auto own = all ? all->find_object(kind) : std::nullopt;
  return own ? own : all;
}

void read_rope(const Members& config, const HuggingFaceFamily& family, ModelConfig& c) {
  c.rope_kind = RopeKind::neox;
  const auto newer = rope_parameters(config, "full_attention"), older = config.find_object("rope_scaling");
  const auto theta = config.find_float("rope_theta", 1, 1e12f);
  c.rope_theta =
      theta.value_or(newer ? newer->find_float("rope_theta", 1, 1e12f).value_or(family.rope_theta) : family.rope_theta);
  const std::optional<Members>& rope = newer ? newer : older;
  if (!rope) return;
  rope->require_neutral({"partial_rotary_factor", 1});
  const char* key = rope->find("rope_type") != nullptr ? "rope_type" : "type";
  const std::string type = rope->one_of(key, {"default", "linear", "llama3"});
  if (type == "linear") c.rope_linear_factor = rope->number("factor", 0, 1e6f);
  if (type == "llama3") c.rope_divisors = llama3_divisors(*rope, c);
}

// Which layers have a sliding window: a list of kinds, or, in older files, all but every so manieth.
void read_windows(const Members& config, ModelConfig& c) {
  const auto window = config.find_integer("sliding_window", 1, config_bounds::max_context);
  if (!window) return;
  c.window = *window;
  c.windowed.resize(static_cast<std::size_t>(c.n_layer));
  if (const Json* kinds = config.find("layer_types")) {
    if (!kinds->is_array() || kinds->size() != c.windowed.size()) {
      config.bad("layer_types", fmt::format("is not an array with an entry for each of the {} layers", c.n_layer));
    }
    for (std::size_t i = 0; i < c.windowed.size(); ++i) {
      const Json& kind = (*kinds)[i];
      if (kind != "sliding_attention" && kind != "full_attention") {
        config.bad(fmt::format("layer_types[{}]", i),
                   fmt::format("is {}, supported are full_attention and sliding_attention", Members::shown(kind)),
                   ErrorKind::unsupported);
      }
      c.windowed[i] = kind == "sliding_attention";
    }
  } else {
    const std::int64_t period = config.find_integer("sliding_window_pattern", 1, config_bounds::max_layers).value_or(6);
    for (std::int64_t i = 0; i < c.n_layer; ++i) c.windowed[static_cast<std::size_t>(i)] = (i + 1) % period != 0;
  }
  const auto all = config.find_object("rope_parameters");
  const auto rope = all ? all->find_object("sliding_attention") : std::nullopt;
  if (rope) rope->one_of("rope_type", {"default"});
  const auto theta = rope ? rope->find_float("rope_theta", 1, 1e12f) : config.find_float("rope_local_base_freq", 1, 1e12f);
  c.window_rope_theta = theta.value_or(10000.0f);
}

// What Gemma has of its own (transformers, Gemma3TextConfig).
void read_gemma(const Members& config, ModelConfig& c) {
  if (config.find("head_dim") == nullptr) config.bad("head_dim", "is missing");
  c.attention_scale = 1.0f / std::sqrt(config.find_float("query_pre_attn_scalar", 0, 1e6f).value_or(256.0f));
  config.one_of("hidden_activation", {"gelu_pytorch_tanh"});
  read_windows(config, c);
}

// How sentence-transformers says that hidden states become one vector.
void read_pooling(const HuggingFaceFolder& folder, ModelConfig& c) {
  const char* const name = "1_Pooling/config.json";
  const auto json = folder.find_json(name);
  if (!json) return;
  const Members pooling(*json, folder.path_of(name));
  constexpr std::array<std::pair<const char*, Pooling>, 3> modes = {{{"pooling_mode_lasttoken", Pooling::last},
                                                                     {"pooling_mode_mean_tokens", Pooling::mean},
                                                                     {"pooling_mode_cls_token", Pooling::cls}}};
  for (const auto& [key, mode] : modes) {
    if (!pooling.find_bool(key).value_or(false)) continue;
    if (c.pooling != Pooling::none)
      pooling.bad(key, "is true beside another mode, which is not supported", ErrorKind::unsupported);
    c.pooling = mode;
  }
  if (c.pooling == Pooling::none)
    pooling.bad("pooling_mode_*", "asks for none of lasttoken, mean_tokens and cls_token", ErrorKind::unsupported);
}

void read_activation(const Members& config, ModelConfig& c) {
  if (config.find("hidden_act") == nullptr) return;
  c.activation = config.one_of("hidden_act", {"silu", "relu2"}) == "relu2" ? Activation::relu2 : Activation::silu;
}

// A norm of its own before every projection, with the same epsilon as all others.
void read_input_norms(const Members& q, bool family_has_them, ModelConfig& c) {
  if (!q.find_bool("use_rms_norm").value_or(false)) return;
  if (!family_has_them) {
    q.bad("use_rms_norm", "is true: " + c.architecture + " has no norms before its projections", ErrorKind::unsupported);
  }
  const float eps = q.find_float("rms_norm_eps", 0, 1).value_or(1e-6f);
  if (eps != c.rms_eps) {
    q.bad("rms_norm_eps", fmt::format("is {}, only the model's own, {}, is supported", eps, c.rms_eps), ErrorKind::unsupported);
  }
  c.input_norms = true;
}

WeightRule read_weights(const Members& config, const HuggingFaceFamily& family, ModelConfig& c) {
  const auto q = config.find_object("quantization_config");
  if (!q) return {.absmean = family.always_ternary};
  q->one_of("quant_method", {"bitnet"});
  const std::string linear = q->one_of("linear_class", {"bitlinear", "autobitlinear"});
  const std::string mode = q->one_of("quantization_mode", {"offline", "online"});
  read_input_norms(*q, find_architecture(family.architecture)->may_have_input_norms, c);
  if (linear == "bitlinear" && mode == "online") {
    q->bad("quantization_mode", "is online, which goes with linear_class autobitlinear alone");
  }
  if (const Json* kept = q->find("modules_to_not_convert")) {
    for (const Json& name : *kept) {
      // Packed weights tell by their type that they are ternary; of others this list would decide.
      if (mode == "online" && name != "lm_head") {
        q->bad("modules_to_not_convert", "names " + Members::shown(name) + ", supported is lm_head", ErrorKind::unsupported);
      }
    }
  }
  return {.absmean = mode == "online", .may_be_packed = mode == "offline", .divides = linear == "bitlinear"};
}

std::string last_part(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

}  // namespace

std::span<const HuggingFaceFamily> huggingface_families() { return table; }

HuggingFaceConfig read_config(const HuggingFaceFolder& folder) {
  const Members config(folder.config(), folder.path_of("config.json"));
  const HuggingFaceFamily& family = find_family(config);
  const Architecture& architecture = *find_architecture(family.architecture);
  HuggingFaceConfig result;
  ModelConfig& c = result.model;
  c.architecture = architecture.name;
  c.name = last_part(folder.path());
  c.activation = architecture.activation;
  c.sub_norms = architecture.sub_norms, c.qk_norms = architecture.qk_norms, c.post_norms = architecture.post_norms;
  for (const NeutralKey& key : neutral_keys) config.require_neutral(key);
  read_sizes(config, c);
  read_rope(config, family, c);
  if (architecture.scales_embedding) {
    c.embedding_scale = std::sqrt(static_cast<float>(c.n_embd));
    read_gemma(config, c);
  } else {
    read_activation(config, c);
  }
  read_pooling(folder, c);
  result.weights = read_weights(config, family, c);
  result.weights.norms_from_one = family.norms_from_one;
  result.tied_head = config.find_bool("tie_word_embeddings");
  return result;
}

}  // namespace bitnet
