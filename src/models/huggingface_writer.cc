// Names, packs and shards a model's weights for transformers.
#include "models/huggingface_writer.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "common/error.h"
#include "models/weight_encoding.h"

namespace bitnet {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void refuse(const std::string& fact) { fail(ErrorKind::usage, "as a HuggingFace folder: {}", fact); }

struct Name {
  std::string_view gguf, huggingface;
};

constexpr std::array<Name, 11> layer_names = {{
    {"attn_norm.weight", "input_layernorm.weight"},
    {"ffn_norm.weight", "post_attention_layernorm.weight"},
    {"attn_sub_norm.weight", "self_attn.attn_sub_norm.weight"},
    {"ffn_sub_norm.weight", "mlp.ffn_sub_norm.weight"},
    {"attn_q.weight", "self_attn.q_proj.weight"},
    {"attn_k.weight", "self_attn.k_proj.weight"},
    {"attn_v.weight", "self_attn.v_proj.weight"},
    {"attn_output.weight", "self_attn.o_proj.weight"},
    {"ffn_gate.weight", "mlp.gate_proj.weight"},
    {"ffn_up.weight", "mlp.up_proj.weight"},
    {"ffn_down.weight", "mlp.down_proj.weight"},
}};
constexpr std::array<Name, 3> other_names = {{
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.norm.weight"},
    {"output.weight", "lm_head.weight"},
}};

std::string huggingface_name(const std::string& name) {
  for (const Name& known : other_names) {
    if (known.gguf == name) return std::string(known.huggingface);
  }
  const std::size_t dot = name.find('.', 4);
  if (name.starts_with("blk.") && dot != std::string::npos) {
    for (const Name& known : layer_names) {
      if (known.gguf == std::string_view(name).substr(dot + 1)) {
        return fmt::format("model.layers.{}.{}", name.substr(4, dot - 4), known.huggingface);
      }
    }
  }
  refuse(fmt::format("tensor '{}' has no name there", printable(name)));
}

// HuggingFace keeps the two halves of a rotated pair hd / 2 rows apart, converters to GGUF put them side by side.
std::function<std::int64_t(std::int64_t)> halves_apart(std::int64_t head_dim) {
  return [head_dim](std::int64_t row) {
    const std::int64_t head = row / head_dim, in_head = row % head_dim, half = head_dim / 2;
    return head * head_dim + 2 * (in_head % half) + in_head / half;
  };
}

std::string_view plain_dtype(DataType type) { return type == DataType::f16 ? "F16" : type == DataType::bf16 ? "BF16" : "F32"; }

bool fits_bf16(float value) { return (__builtin_bit_cast(std::uint32_t, value) & 0xffff) == 0; }

bool is_permuted(const ModelConfig& config, std::string_view name) {
  return config.rope_kind == RopeKind::norm && (name.ends_with(".attn_q.weight") || name.ends_with(".attn_k.weight"));
}

// Collects tensors wide types first, as the format wants them aligned.
class FileBuilder {
 public:
  explicit FileBuilder(HuggingFacePlan& plan) : plan_(plan) {}

  void add_packed(std::size_t item, const std::string& name, const Shape& shape) {
    const float scale = plan_.items[item].scale_value;
    const std::string_view dtype = fits_bf16(scale) ? "BF16" : "F32";
    std::string scale_name = name + "_scale";
    entries_.push_back({{name, "U8", {shape.rows() / 4, shape.cols()}}, item, false});
    entries_.push_back({{std::move(scale_name), dtype, {1}}, item, true});
  }
  void add_plain(std::size_t item, const std::string& name, std::string_view dtype, const Shape& shape) {
    entries_.push_back({{name, dtype, shape.dims}, item, false});
  }

  // Cuts into files in the order added, sorts within each, and gives every item its number.
  void finish(std::uint64_t shard_bytes) {
    std::vector<std::vector<Entry>> shards(1);
    std::uint64_t size = 0, total = 0;
    for (Entry& entry : entries_) {
      const std::uint64_t bytes = entry.tensor.bytes();
      if (size + bytes > shard_bytes && !shards.back().empty()) shards.emplace_back(), size = 0;
      size += bytes, total += bytes;
      shards.back().push_back(std::move(entry));
    }
    std::size_t number = 0;
    Json map = Json::object();
    for (std::vector<Entry>& shard : shards) {
      std::stable_sort(shard.begin(), shard.end(), [](const Entry& a, const Entry& b) { return width(a) > width(b); });
      const std::size_t i = plan_.files.size() + 1;
      HuggingFacePlan::File file{
          shards.size() == 1 ? "model.safetensors" : fmt::format("model-{:05}-of-{:05}.safetensors", i, shards.size()), {}};
      for (Entry& entry : shard) {
        HuggingFacePlan::Item& item = plan_.items[entry.item];
        (entry.is_scale ? item.scale : item.tensor) = number++;
        map[entry.tensor.name] = file.name;
        file.tensors.push_back(std::move(entry.tensor));
      }
      plan_.files.push_back(std::move(file));
    }
    if (shards.size() > 1) plan_.index = Json{{"metadata", {{"total_size", total}}}, {"weight_map", std::move(map)}};
  }

 private:
  struct Entry {
    NewSafetensor tensor;
    std::size_t item;
    bool is_scale;
  };
  static int width(const Entry& entry) { return entry.tensor.dtype == "F32" ? 4 : entry.tensor.dtype == "U8" ? 1 : 2; }

  HuggingFacePlan& plan_;
  std::vector<Entry> entries_;
};

void check_config(const ModelConfig& c) {
  const bool llama = c.architecture == "llama";
  if (!llama && !c.architecture.starts_with("bitnet")) refuse(fmt::format("architecture {} is not written", c.architecture));
  if (c.rope_dim != c.head_dim) refuse(fmt::format("rope.dimension_count is {}, heads have {}", c.rope_dim, c.head_dim));
  if (!llama && c.head_dim * c.n_head != c.n_embd) {
    refuse(
        fmt::format("{} heads of {} are not the width of {}, which this architecture wants", c.n_head, c.head_dim, c.n_embd));
  }
  if (llama && c.activation != Activation::silu) refuse("hidden_activation is not silu, which llama wants");
}

Json config_json(const ModelConfig& c, std::int64_t n_vocab, bool tied, bool packed, std::string_view dtype) {
  const bool llama = c.architecture == "llama";
  Json rope = {{"rope_type", c.rope_linear_factor == 1 ? "default" : "linear"}, {"rope_theta", c.rope_theta}};
  if (c.rope_linear_factor != 1) rope["factor"] = c.rope_linear_factor;
  Json config = {{"architectures", Json::array({llama ? "LlamaForCausalLM" : "BitNetForCausalLM"})},
                 {"model_type", llama ? "llama" : "bitnet"},
                 {"dtype", dtype},
                 {"vocab_size", n_vocab},
                 {"hidden_size", c.n_embd},
                 {"intermediate_size", c.n_ff},
                 {"num_hidden_layers", c.n_layer},
                 {"num_attention_heads", c.n_head},
                 {"num_key_value_heads", c.n_head_kv},
                 {"hidden_act", c.activation == Activation::relu2 ? "relu2" : "silu"},
                 {"max_position_embeddings", c.n_ctx},
                 {"rms_norm_eps", c.rms_eps},
                 {"rope_theta", c.rope_theta},
                 {"rope_parameters", std::move(rope)},
                 {"tie_word_embeddings", tied},
                 {"attention_bias", false},
                 {"initializer_range", 0.02}};
  if (llama) config["head_dim"] = c.head_dim, config["mlp_bias"] = false;
  if (packed) {
    config["quantization_config"] = {{"quant_method", "bitnet"},
                                     {"modules_to_not_convert", nullptr},
                                     {"linear_class", "autobitlinear"},
                                     {"quantization_mode", "offline"}};
  }
  return config;
}

// The scale when the weight is ternary and can be packed.
std::optional<float> packed_scale(const SourceWeight& weight, ThreadPool& pool) {
  const WeightRows rows(weight, pool);
  if (!rows.scales()) return std::nullopt;
  if (rows.scales()->per != ScalePer::tensor) {
    refuse(fmt::format("tensor '{}' has one scale a {}, one a tensor is possible", printable(weight.name),
                       name_of(rows.scales()->per)));
  }
  if (rows.rows() % 4 != 0)
    refuse(fmt::format("tensor '{}' has {} rows, four go into a byte", printable(weight.name), rows.rows()));
  return rows.scales()->values.front();
}

void write_packed(const SourceWeight& weight, std::size_t index, TensorFiles& files, ThreadPool& pool) {
  const WeightRows rows(weight, pool);
  const std::int64_t packed_rows = rows.rows() / 4, cols = rows.cols();
  std::vector<std::byte> out(static_cast<std::size_t>(packed_rows * cols));
  pool.split(packed_rows, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::uint8_t> codes(static_cast<std::size_t>(cols));
    for (std::int64_t r = begin; r < end; ++r) {
      std::byte* row = out.data() + r * cols;
      for (int i = 0; i < 4; ++i) {
        rows.codes(r + i * packed_rows, codes.data());
        for (std::int64_t c = 0; c < cols; ++c) row[c] |= static_cast<std::byte>(codes[static_cast<std::size_t>(c)] << (2 * i));
      }
    }
  });
  weight.map->discard(weight.view.bytes);
  files.write(index, 0, out);
}

void write_scale(const HuggingFacePlan::Item& item, TensorFiles& files) {
  auto bits = __builtin_bit_cast(std::uint32_t, item.scale_value);
  const std::size_t size = files.tensor_bytes(item.scale);
  if (size == 2) bits >>= 16;
  std::array<std::byte, 4> bytes = {};
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(bits >> (8 * i));
  files.write(item.scale, 0, std::span(bytes).first(size));
}

}  // namespace

const std::vector<std::string_view> huggingface_file_names = {
    "config.json",         "generation_config.json",       "tokenizer.json",
    "tokenizer.model",     "tokenizer_config.json",        "special_tokens_map.json",
    "chat_template.jinja", "model.safetensors.index.json", ".safetensors",
};

HuggingFacePlan plan_huggingface(const SourceModel& source, std::uint64_t shard_bytes, ThreadPool& pool) {
  const ModelConfig& config = source.config();
  check_config(config);
  HuggingFacePlan plan;
  FileBuilder builder(plan);
  std::int64_t packed = 0, projections = 0;
  bool all_bf16 = true;
  for (const SourceWeight& original : source.weights) {
    SourceWeight weight = original;
    // A folder's rows are as they are to be written.
    weight.stored_row = {};
    if (!source.is_folder() && is_permuted(config, weight.name)) weight.stored_row = halves_apart(config.head_dim);
    const std::string name = huggingface_name(weight.name);
    const bool projection = weight.role == WeightRole::projection;
    const std::optional<float> scale = projection ? packed_scale(weight, pool) : std::nullopt;
    plan.items.push_back({std::move(weight), scale.has_value(), 0, 0, scale.value_or(1)});
    projections += projection ? 1 : 0, packed += scale ? 1 : 0;
    if (scale) {
      builder.add_packed(plan.items.size() - 1, name, original.view.shape);
    } else {
      if (original.scale != 1) refuse(fmt::format("tensor '{}' has a scale beside it", printable(original.name)));
      const std::string_view dtype = plain_dtype(original.view.type);
      all_bf16 = all_bf16 && dtype == "BF16";
      builder.add_plain(plan.items.size() - 1, name, dtype, original.view.shape);
    }
  }
  if (packed != 0 && packed != projections) {
    const auto dense = std::find_if(plan.items.begin(), plan.items.end(), [](const HuggingFacePlan::Item& item) {
      return item.weight.role == WeightRole::projection && !item.packed;
    });
    refuse(fmt::format("tensor '{}' is not ternary and others are", printable(dense->weight.name)));
  }
  builder.finish(shard_bytes);
  const SourceWeight* embedding = source.find(WeightRole::embedding);
  if (embedding == nullptr) refuse("tensor 'token_embd.weight' is missing");
  plan.config = config_json(config, embedding->view.shape.rows(), source.find(WeightRole::head) == nullptr, packed != 0,
                            all_bf16 ? "bfloat16" : "float32");
  return plan;
}

void carry_out(const HuggingFacePlan& plan, TensorFiles& files, ThreadPool& pool, const ByteProgress& progress) {
  WeightWriter writer(files, pool, progress);
  for (const HuggingFacePlan::Item& item : plan.items) {
    if (item.packed) {
      write_packed(item.weight, item.tensor, files, pool);
      write_scale(item, files);
      progress(files.tensor_bytes(item.tensor));
      continue;
    }
    const DataType type = item.weight.view.type;
    const bool plain = type == DataType::f32 || type == DataType::f16 || type == DataType::bf16;
    writer.write(item.weight, plan_weight(item.weight, plain ? type : DataType::f32, Rounding::dense, pool), item.tensor);
  }
  writer.finish();
}

}  // namespace bitnet
