// HuggingFace folders: configs and tensors that fit each other are accepted, everything else is refused by name.
#include <gmock/gmock.h>

#include <cmath>
#include <functional>
#include <set>

#include "common/error.h"
#include "models/model.h"
#include "models/strict_json.h"
#include "support/safetensors_builder.h"
#include "support/temp_folder.h"

namespace bitnet {
namespace {

using test::SafetensorsBuilder;
using test::TempFolder;
using testing::AllOf;
using testing::HasSubstr;
using testing::Property;

constexpr std::uint64_t embd = 32, ff = 64, kv = 16, vocab = 8;

auto refused(ErrorKind kind, const std::string& text) {
  return testing::Throws<Error>(AllOf(Property(&Error::kind, kind), Property(&Error::what, HasSubstr(text))));
}
auto bad(const std::string& text) { return refused(ErrorKind::bad_model, text); }
auto unsupported(const std::string& text) { return refused(ErrorKind::unsupported, text); }

std::string floats(std::uint64_t n, float value = 1) {
  std::string out;
  for (std::uint64_t i = 0; i < n; ++i) out += test::GgufBuilder::number(value);
  return out;
}

Json base_config(const std::string& model_class) {
  return {{"architectures", {model_class}}, {"hidden_size", embd},  {"intermediate_size", ff},
          {"num_hidden_layers", 1},         {"vocab_size", vocab},  {"num_attention_heads", 2},
          {"num_key_value_heads", 1},       {"rms_norm_eps", 1e-5}, {"max_position_embeddings", 64}};
}

const Json packed_2b = {{"quant_method", "bitnet"}, {"linear_class", "autobitlinear"}, {"quantization_mode", "offline"}};

// A folder with a model of one layer; without some of its tensors, with others added.
class ModelFolder : public testing::Test {
 protected:
  enum class Form { floats, packed };

  void write(const Json& config, Form form, const std::set<std::string>& without = {},
             const std::function<void(SafetensorsBuilder&)>& add = {}) {
    folder.put("config.json", config.dump());
    SafetensorsBuilder b;
    const auto put = [&](const std::string& name, const std::string& dtype, std::vector<std::uint64_t> shape,
                         const std::string& bytes) {
      if (!without.contains(name)) b.tensor(name, dtype, shape, bytes);
    };
    const auto vector = [&](const std::string& name, std::uint64_t n) { put(name, "F32", {n}, floats(n)); };
    put("model.embed_tokens.weight", "F32", {vocab, embd}, floats(vocab * embd));
    vector("model.norm.weight", embd);
    const std::string layer = "model.layers.0.";
    vector(layer + "input_layernorm.weight", embd), vector(layer + "post_attention_layernorm.weight", embd);
    const std::string model_class = config["architectures"][0];
    if (model_class == "BitNetForCausalLM") {
      vector(layer + "self_attn.attn_sub_norm.weight", embd), vector(layer + "mlp.ffn_sub_norm.weight", ff);
    } else if (model_class == "BitnetForCausalLM") {
      vector(layer + "self_attn.inner_attn_ln.weight", embd), vector(layer + "mlp.ffn_layernorm.weight", ff);
    }
    const auto matrix = [&](const std::string& name, std::uint64_t rows, std::uint64_t cols) {
      if (form == Form::floats) return put(layer + name + ".weight", "F32", {rows, cols}, floats(rows * cols));
      put(layer + name + ".weight", "U8", {rows / 4, cols}, std::string(rows / 4 * cols, '\x55'));
      put(layer + name + ".weight_scale", "F32", {1}, floats(1, 0.5f));
    };
    matrix("self_attn.q_proj", embd, embd), matrix("self_attn.k_proj", kv, embd), matrix("self_attn.v_proj", kv, embd);
    matrix("self_attn.o_proj", embd, embd);
    matrix("mlp.gate_proj", ff, embd), matrix("mlp.up_proj", ff, embd), matrix("mlp.down_proj", embd, ff);
    if (add) add(b);
    folder.put("model.safetensors", b.bytes());
  }

  Model open() const { return Model::open(folder.path()); }
  Model open(const Json& config, Form form) {
    write(config, form);
    return open();
  }

  TempFolder folder;
};

TEST_F(ModelFolder, PackedModelsOfBothLinearClasses) {
  Json config = base_config("BitNetForCausalLM");
  config["quantization_config"] = packed_2b;
  const Model multiplies = open(config, Form::packed);
  EXPECT_EQ(multiplies.config().architecture, "bitnet-b1.58");
  EXPECT_EQ(multiplies.config().activation, Activation::relu2);
  EXPECT_EQ(multiplies.config().rope_theta, 500000.0f);
  EXPECT_EQ(multiplies.config().n_vocab, 8);
  const WeightTensor& down = multiplies.layers()[0].ffn_down;
  EXPECT_EQ(down.name, "model.layers.0.mlp.down_proj.weight");
  EXPECT_EQ(down.view.type, DataType::hf_packed);
  EXPECT_EQ(down.view.shape, (Shape{{embd, ff}}));
  EXPECT_EQ(down.scale, 0.5f);
  config["quantization_config"] = {{"quant_method", "bitnet"}};
  EXPECT_EQ(open(config, Form::packed).layers()[0].ffn_down.scale, 2.0f);
}

TEST_F(ModelFolder, MasterWeightsAreTernarisedByTheirConfigOrClass) {
  Json online = base_config("LlamaForCausalLM");
  EXPECT_FALSE(open(online, Form::floats).layers()[0].attn_q.absmean);
  online["quantization_config"] = packed_2b;
  online["quantization_config"]["quantization_mode"] = "online";
  EXPECT_TRUE(open(online, Form::floats).layers()[0].attn_q.absmean);
  const Model older = open(base_config("BitnetForCausalLM"), Form::floats);
  EXPECT_TRUE(older.layers()[0].ffn_gate.absmean);
  EXPECT_EQ(older.config().architecture, "bitnet");
  EXPECT_EQ(older.config().rope_theta, 10000.0f);
  EXPECT_EQ(older.layers()[0].attn_sub_norm->name, "model.layers.0.self_attn.inner_attn_ln.weight");
  EXPECT_FALSE(older.token_embd().absmean);
  EXPECT_EQ(older.config().rope_kind, RopeKind::neox);
}

TEST_F(ModelFolder, WhatTheConfigMeansByItsDefaults) {
  Json config = base_config("LlamaForCausalLM");
  const ModelConfig c = open(config, Form::floats).config();
  EXPECT_EQ(c.head_dim, 16);
  EXPECT_EQ(c.attention_scale, 0.25f);
  EXPECT_EQ(c.activation, Activation::silu);
  EXPECT_EQ(c.rope_kind, RopeKind::neox) << "folders do not permute queries and keys";
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 1e6}};
  EXPECT_EQ(open(config, Form::floats).config().rope_theta, 1e6f);
  config["rope_parameters"] = nullptr, config["rope_scaling"] = {{"type", "linear"}, {"factor", 4.0}};
  EXPECT_EQ(open(config, Form::floats).config().rope_linear_factor, 4.0f);
  config["hidden_act"] = "relu2";
  EXPECT_EQ(open(config, Form::floats).config().activation, Activation::relu2);
}

TEST_F(ModelFolder, Llama31StretchesLongWaves) {
  Json config = base_config("LlamaForCausalLM");
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 64}};
  const std::vector<float> divisors = open(config, Form::floats).config().rope_divisors;
  ASSERT_EQ(divisors.size(), 8u);
  EXPECT_EQ(divisors.front(), 1.0f);
  EXPECT_EQ(divisors.back(), 8.0f);
  config["rope_scaling"]["high_freq_factor"] = 1.0;
  EXPECT_THAT([&] { open(config, Form::floats); }, bad("high_freq_factor is 1, it must be above low_freq_factor"));
}

TEST_F(ModelFolder, HeadsOfTheirOwnAndTiedOnes) {
  const auto with_head = [&](const Json& tied) {
    Json config = base_config("LlamaForCausalLM");
    config["tie_word_embeddings"] = tied;
    write(config, Form::floats, {},
          [](SafetensorsBuilder& b) { b.tensor("lm_head.weight", "F32", {vocab, embd}, floats(vocab * embd)); });
    return open().output().has_value();
  };
  EXPECT_TRUE(with_head(nullptr));
  EXPECT_TRUE(with_head(false));
  EXPECT_FALSE(with_head(true));
  Json config = base_config("LlamaForCausalLM");
  EXPECT_FALSE(open(config, Form::floats).output().has_value());
  config["tie_word_embeddings"] = false;
  EXPECT_THAT([&] { open(config, Form::floats); }, bad("tensor 'lm_head.weight' is missing"));
}

TEST_F(ModelFolder, NumbersOutOfBounds) {
  const std::tuple<const char*, Json, const char*> cases[] = {
      {"hidden_size", 0, "hidden_size is 0, allowed are 1 to"},
      {"hidden_size", -1, "hidden_size is -1, allowed are"},
      {"hidden_size", 1.5, "hidden_size is 1.5, it must be an integer"},
      {"hidden_size", "32", "it must be an integer"},
      {"hidden_size", std::uint64_t{1} << 63, "hidden_size is 9223372036854775808, allowed are"},
      {"hidden_size", nullptr, "hidden_size is missing"},
      {"num_hidden_layers", 5000, "num_hidden_layers is 5000, allowed are 1 to 1024"},
      {"num_attention_heads", 3, "num_attention_heads is 3, it must divide the 32 of hidden_size"},
      {"num_attention_heads", 32, "gives heads of 1 elements, allowed are even numbers"},
      {"num_key_value_heads", 4, "num_key_value_heads is 4, it must divide the 2 heads"},
      {"head_dim", 1 << 20, "head_dim is 1048576, allowed are"},
      {"rms_norm_eps", 0, "rms_norm_eps is 0, it must be above 0"},
      {"rms_norm_eps", "1e-5", "it must be a number"},
      {"rope_theta", -5, "rope_theta is -5"},
      {"vocab_size", 9, "tensor 'model.embed_tokens.weight' has shape (8, 32), the config asks for (9, 32)"},
      {"tie_word_embeddings", 1, "tie_word_embeddings is 1, it must be true or false"},
      {"architectures", nullptr, "architectures must be an array"},
      {"architectures", {"A", "B"}, "with the name of one model class"},
      {"architectures", {"MambaForCausalLM"}, "architectures is 'MambaForCausalLM', supported are BitNetForCausalLM"},
      {"rope_scaling", "linear", "rope_scaling is \"linear\", it must be an object"},
      {"rope_scaling", {{"type", "linear"}}, "rope_scaling.factor is missing"},
  };
  for (const auto& [key, value, fact] : cases) {
    Json config = base_config("LlamaForCausalLM");
    config[key] = value;
    if (std::string_view(key) == "architectures") {
      write(base_config("LlamaForCausalLM"), Form::floats);
      folder.put("config.json", config.dump());
      EXPECT_THAT([&] { open(); }, bad(fact)) << fact;
    } else {
      EXPECT_THAT([&] { open(config, Form::floats); }, bad(fact)) << fact;
    }
  }
}

TEST_F(ModelFolder, WhatChangesTheArithmeticIsNotIgnored) {
  const std::tuple<const char*, Json, const char*> cases[] = {
      {"attention_bias", true, "attention_bias is true, only 0 is supported"},
      {"mlp_bias", true, "mlp_bias is true"},
      {"partial_rotary_factor", 0.5, "partial_rotary_factor is 0.5, only 1 is supported"},
      {"rope_scaling", {{"rope_type", "yarn"}}, "rope_scaling.rope_type is 'yarn', supported are default, linear, llama3"},
      {"hidden_act", "gelu", "hidden_act is 'gelu', supported are silu, relu2"},
      {"quantization_config", {{"quant_method", "gptq"}}, "quantization_config.quant_method is 'gptq', supported are bitnet"},
      {"quantization_config", {{"linear_class", "x"}}, "linear_class is 'x', supported are bitlinear, autobitlinear"},
      {"quantization_config", {{"use_rms_norm", true}}, "llama has no norms before its projections"},
  };
  for (const auto& [key, value, fact] : cases) {
    Json config = base_config("LlamaForCausalLM");
    config[key] = value;
    EXPECT_THAT([&] { open(config, Form::floats); }, unsupported(fact)) << fact;
  }
  Json config = base_config("LlamaForCausalLM");
  config["quantization_config"] = {
      {"linear_class", "autobitlinear"}, {"quantization_mode", "online"}, {"modules_to_not_convert", {"lm_head"}}};
  EXPECT_NO_THROW(open(config, Form::floats));
  config["quantization_config"]["modules_to_not_convert"] = {"mlp"};
  EXPECT_THAT([&] { open(config, Form::floats); }, unsupported("modules_to_not_convert names \"mlp\""));
  config["quantization_config"] = {{"quantization_mode", "online"}};
  EXPECT_THAT([&] { open(config, Form::floats); }, bad("is online, which goes with linear_class autobitlinear alone"));
}

TEST_F(ModelFolder, TensorsThatAreNoPartOfTheModelAreRefused) {
  const Json config = base_config("LlamaForCausalLM");
  for (const std::string name : {"model.layers.0.self_attn.q_proj.bias", "model.layers.0.self_attn.q_norm.weight", "x",
                                 "model.layers.1.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.rms_norm.weight"}) {
    write(config, Form::floats, {}, [&](SafetensorsBuilder& b) { b.tensor(name, "F32", {4}, floats(4)); });
    EXPECT_THAT([&] { open(); }, unsupported("tensor '" + name + "' is not a part of architecture llama"));
  }
  write(config, Form::floats, {},
        [&](SafetensorsBuilder& b) { b.tensor("model.layers.0.self_attn.rotary_emb.inv_freq", "F32", {8}, floats(8)); });
  EXPECT_NO_THROW(open());
}

TEST_F(ModelFolder, EachTensorIsRequiredInItsShapeAndType) {
  const Json config = base_config("LlamaForCausalLM");
  for (const std::string name : {"model.embed_tokens.weight", "model.norm.weight", "model.layers.0.input_layernorm.weight",
                                 "model.layers.0.self_attn.k_proj.weight", "model.layers.0.mlp.down_proj.weight"}) {
    write(config, Form::floats, {name});
    EXPECT_THAT([&] { open(); }, bad("tensor '" + name + "' is missing"));
    write(config, Form::floats, {name}, [&](SafetensorsBuilder& b) { b.tensor(name, "F32", {3, 5}, floats(15)); });
    EXPECT_THAT([&] { open(); }, bad("tensor '" + name + "' has shape (3, 5), the config asks for"));
  }
  write(config, Form::floats, {"model.norm.weight"},
        [&](SafetensorsBuilder& b) { b.tensor("model.norm.weight", "I32", {embd}, floats(embd)); });
  EXPECT_THAT([&] { open(); }, bad("tensor 'model.norm.weight' is I32, which is not supported there"));
}

TEST_F(ModelFolder, PackedTensorsAndTheirScalesAreChecked) {
  const std::string name = "model.layers.0.mlp.up_proj.weight", scale = name + "_scale";
  Json config = base_config("LlamaForCausalLM");
  EXPECT_THAT([&] { open(config, Form::packed); }, bad("is packed as U8, but no quantization_config"));
  config["quantization_config"] = {{"quant_method", "bitnet"}};
  write(config, Form::packed, {scale});
  EXPECT_THAT([&] { open(); }, bad("tensor '" + scale + "' is missing"));
  const auto with_scale = [&](const std::string& dtype, std::vector<std::uint64_t> shape, const std::string& bytes) {
    write(config, Form::packed, {scale}, [&](SafetensorsBuilder& b) { b.tensor(scale, dtype, shape, bytes); });
    return open().layers()[0].ffn_up.scale;
  };
  EXPECT_EQ(with_scale("BF16", {1}, std::string("\0\x3f", 2)), 2.0f);
  EXPECT_EQ(with_scale("F32", {}, floats(1, 4)), 0.25f);
  EXPECT_THAT([&] { with_scale("F32", {2}, floats(2)); }, bad("has shape (2), the config asks for (1)"));
  EXPECT_THAT([&] { with_scale("U8", {1}, "x"); }, bad("'" + scale + "' is U8"));
  for (const float broken : {NAN, INFINITY, 0.0f}) EXPECT_THAT([&] { with_scale("F32", {1}, floats(1, broken)); }, bad(scale));
  write(config, Form::packed, {name},
        [&](SafetensorsBuilder& b) { b.tensor(name, "U8", {ff, embd}, std::string(ff * embd, '\0')); });
  EXPECT_THAT([&] { open(); }, bad("has shape (64, 32), the config asks for (16, 32)"));
  config["intermediate_size"] = 66;
  EXPECT_THAT([&] { open(config, Form::packed); }, bad("66 rows cannot be: they are no multiple of 4"));
}

TEST_F(ModelFolder, ModelsWithoutAHeadNameTheirTensorsWithoutAPrefix) {
  write(base_config("LlamaForCausalLM"), Form::floats);
  std::string bytes;
  {
    const MappedFile file = MappedFile::open(folder.path() + "/model.safetensors");
    bytes.assign(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  }
  for (std::size_t at; (at = bytes.find("\"model.")) != std::string::npos;) bytes.replace(at, 7, "\"");
  const std::uint64_t length = bytes.find("}}") + 2 - 8;
  bytes.replace(0, 8, test::GgufBuilder::number(length));
  folder.put("model.safetensors", bytes);
  EXPECT_EQ(open().token_embd().name, "embed_tokens.weight");
}

}  // namespace
}  // namespace bitnet
