// Model: optional keys and tensors change the config as they should, or are refused by name rather than ignored.
#include <gmock/gmock.h>

#include <functional>
#include <set>

#include "common/error.h"
#include "common/half.h"
#include "models/model.h"
#include "support/gguf_builder.h"

namespace bitnet {
namespace {

using test::GgufBuilder;
using testing::AllOf;
using testing::HasSubstr;
using testing::Property;

using Change = std::function<void(GgufBuilder&)>;

std::string floats(std::size_t n, float value = 1.0f) {
  std::string out;
  for (std::size_t i = 0; i < n; ++i) out += GgufBuilder::number(value);
  return out;
}

// A llama model of two layers, 32 wide, with 2 heads of 16 over 1 of keys and values; without some of its parts, with others
// added.
std::string llama(const Change& add, const std::set<std::string>& without = {}) {
  GgufBuilder b;
  b.text("general.architecture", "llama");
  const std::pair<std::string, std::uint32_t> numbers[] = {{"block_count", 2},          {"embedding_length", 32},
                                                           {"feed_forward_length", 64}, {"context_length", 64},
                                                           {"attention.head_count", 2}, {"attention.head_count_kv", 1}};
  for (const auto& [key, value] : numbers) {
    if (!without.contains(key)) b.u32("llama." + key, value);
  }
  b.f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  const auto tensor = [&](const std::string& name, std::vector<std::uint64_t> dims) {
    if (!without.contains(name)) b.tensor(name + ".weight", dims, 0, floats(dims[0] * (dims.size() > 1 ? dims[1] : 1)));
  };
  tensor("token_embd", {8, 32}), tensor("output_norm", {32});
  for (const std::string p : {"blk.0.", "blk.1."}) {
    tensor(p + "attn_norm", {32}), tensor(p + "ffn_norm", {32});
    tensor(p + "attn_q", {32, 32}), tensor(p + "attn_k", {16, 32}), tensor(p + "attn_v", {16, 32}),
        tensor(p + "attn_output", {32, 32});
    tensor(p + "ffn_gate", {64, 32}), tensor(p + "ffn_up", {64, 32}), tensor(p + "ffn_down", {32, 64});
  }
  add(b);
  return b.bytes();
}

ModelConfig config(const Change& add, const std::set<std::string>& without = {}) {
  const test::TempFile file(llama(add, without));
  return Model::open(file.path()).config();
}

void open(const Change& add, const std::set<std::string>& without = {}) { config(add, without); }

auto refused(ErrorKind kind, const std::string& text) {
  return testing::Throws<Error>(AllOf(Property(&Error::kind, kind), Property(&Error::what, HasSubstr(text))));
}
auto bad(const std::string& text) { return refused(ErrorKind::bad_model, text); }

void nothing(GgufBuilder&) {}

TEST(ModelParts, DefaultsOfAbsentKeys) {
  const ModelConfig c = config(nothing);
  EXPECT_EQ(c.head_dim, 16);
  EXPECT_EQ(c.rope_dim, 16);
  EXPECT_EQ(c.rope_theta, 10000.0f);
  EXPECT_EQ(c.rope_linear_factor, 1.0f);
  EXPECT_EQ(c.attention_scale, 0.25f);
  EXPECT_EQ(c.n_vocab, 8);
  EXPECT_EQ(config(nothing).activation, Activation::silu);
}

TEST(ModelParts, HeadCountsMayBeWrittenPerLayer) {
  const std::set<std::string> without = {"attention.head_count_kv"};
  EXPECT_EQ(config([](GgufBuilder& b) { b.i32s("llama.attention.head_count_kv", {1, 1}); }, without).n_head_kv, 1);
  EXPECT_THAT([&] { open([](GgufBuilder& b) { b.i32s("llama.attention.head_count_kv", {1, 2}); }, without); },
              bad("head_count_kv is 1 in layer 0 and 2 in layer 1"));
  EXPECT_THAT([&] { open([](GgufBuilder& b) { b.i32s("llama.attention.head_count_kv", {1, 1, 1}); }, without); },
              bad("head_count_kv has 3 entries for 2 layers"));
  EXPECT_THAT([&] { open([](GgufBuilder& b) { b.i32s("llama.attention.head_count_kv", {}); }, without); },
              bad("has 0 entries for 2 layers"));
  EXPECT_THAT([&] { open([](GgufBuilder& b) { b.i32s("llama.attention.head_count_kv", {0, 0}); }, without); },
              bad("is 0, allowed are 1 to 4096"));
  EXPECT_THAT([&] { open([](GgufBuilder& b) { b.i32s("llama.attention.head_count_kv", {-1, -1}); }, without); },
              bad("is -1, allowed are 1"));
  EXPECT_THAT([&] { open([](GgufBuilder& b) { b.f32s("llama.attention.head_count_kv", {1, 1}); }, without); },
              bad("must be an array of integers"));
}

TEST(ModelParts, HeadsMayBeLongerThanTheWidthDivided) {
  const std::set<std::string> without = {"blk.0.attn_q", "blk.0.attn_output", "blk.1.attn_q", "blk.1.attn_output",
                                         "attention.head_count_kv"};
  const auto add = [](GgufBuilder& b) {
    b.u32("llama.attention.key_length", 8), b.u32("llama.attention.head_count_kv", 2);
    for (const std::string p : {"blk.0.", "blk.1."}) {
      b.tensor(p + "attn_q.weight", {16, 32}, 0, floats(512)), b.tensor(p + "attn_output.weight", {32, 16}, 0, floats(512));
    }
  };
  const ModelConfig c = config(add, without);
  EXPECT_EQ(c.head_dim, 8);
  EXPECT_EQ(c.n_head * c.head_dim, 16);
  EXPECT_THAT([&] { open([&](GgufBuilder& b) { add(b), b.u32("llama.attention.value_length", 4); }, without); },
              bad("attention.value_length is 4, keys have 8"));
}

TEST(ModelParts, RotationMayCoverPartOfAHead) {
  const auto rope_dim = [](std::uint32_t n) { return [n](GgufBuilder& b) { b.u32("llama.rope.dimension_count", n); }; };
  EXPECT_EQ(config(rope_dim(8)).rope_dim, 8);
  EXPECT_THAT([&] { open(rope_dim(7)); }, bad("rope.dimension_count is 7, it must be even"));
  EXPECT_THAT([&] { open(rope_dim(18)); }, bad("rope.dimension_count is 18, allowed are 2 to 16"));
  EXPECT_THAT([&] { open(rope_dim(0)); }, bad("rope.dimension_count is 0"));
}

TEST(ModelParts, RopeScaling) {
  const auto scaling = [](const std::string& type, const std::string& key, float factor) {
    return [=](GgufBuilder& b) {
      if (!type.empty()) b.text("llama.rope.scaling.type", type);
      if (!key.empty()) b.f32(key, factor);
    };
  };
  EXPECT_EQ(config(scaling("linear", "llama.rope.scaling.factor", 4)).rope_linear_factor, 4.0f);
  EXPECT_EQ(config(scaling("", "llama.rope.scaling.factor", 4)).rope_linear_factor, 4.0f);
  EXPECT_EQ(config(scaling("", "llama.rope.scale_linear", 2)).rope_linear_factor, 2.0f);
  EXPECT_EQ(config(scaling("none", "llama.rope.scaling.factor", 4)).rope_linear_factor, 1.0f);
  EXPECT_THAT([&] { open(scaling("yarn", "", 0)); }, bad("rope.scaling.type is 'yarn', supported are none and linear"));
  EXPECT_THAT([&] { open(scaling("linear", "llama.rope.scaling.factor", 0)); },
              bad("rope.scaling.factor is 0, it must be above 0"));
  EXPECT_THAT([&] { open([](GgufBuilder& b) { b.entry("llama.rope.scaling.factor", 12, GgufBuilder::number(1e-300)); }); },
              bad("rope.scaling.factor is 1e-300, it must be above 0"));
}

TEST(ModelParts, ActivationMayBeNamed) {
  const auto activation = [](const std::string& name) {
    return [=](GgufBuilder& b) { b.text("llama.hidden_activation", name); };
  };
  EXPECT_EQ(config(activation("relu2")).activation, Activation::relu2);
  EXPECT_EQ(config(activation("silu")).activation, Activation::silu);
  EXPECT_EQ(config(activation("gelu_pytorch_tanh")).activation, Activation::gelu);
  EXPECT_THAT([&] { open(activation("gelu")); },
              bad("hidden_activation is 'gelu', supported are relu2, silu and gelu_pytorch_tanh"));
}

TEST(ModelParts, KeysThatChangeTheArithmeticAreNotIgnored) {
  const auto with = [](const std::string& key, float value) { return [=](GgufBuilder& b) { b.f32("llama." + key, value); }; };
  EXPECT_NO_THROW(open(with("logit_scale", 1)));
  EXPECT_THAT([&] { open(with("logit_scale", 0.5f)); }, bad("llama.logit_scale is 0.5, only 1 is supported"));
  EXPECT_THAT([&] { open(with("attention.clamp_kqv", 8)); }, bad("llama.attention.clamp_kqv is 8, only 0 is supported"));
  EXPECT_THAT([&] { open(with("rope.scaling.attn_factor", NAN)); }, bad("attn_factor is nan"));
  EXPECT_THAT([] { open([](GgufBuilder& b) { b.u32("llama.expert_count", 8); }); }, bad("llama.expert_count is 8, only 0"));
  EXPECT_THAT([] { open([](GgufBuilder& b) { b.boolean("llama.attention.causal", false); }); },
              bad("llama.attention.causal is false"));
  EXPECT_EQ(config(with("attention.scale", 0.5f)).attention_scale, 0.5f);
}

TEST(ModelParts, TensorsThatChangeTheArithmeticAreNotIgnored) {
  for (const std::string name : {"blk.0.attn_q.bias", "output_norm.bias", "blk.1.attn_k_norm.weight",
                                 "blk.0.attn_sub_norm.weight", "blk.0.ffn_gate_exps.weight", "blk.1.attn_q_norm_in.weight"}) {
    EXPECT_THAT([&] { open([&](GgufBuilder& b) { b.tensor(name, {32}, 0, floats(32)); }); },
                refused(ErrorKind::unsupported, "tensor '" + name + "' changes the result"))
        << name;
  }
}

TEST(ModelParts, OtherTensorsAreLeftAlone) {
  EXPECT_NO_THROW(open(
      [](GgufBuilder& b) { b.tensor("blk.0.attn_rot_embd.weight", {16}, 0, floats(16)), b.tensor("x", {1}, 0, floats(1)); }));
}

TEST(ModelParts, CompanionScalesAreRead) {
  const auto scale = [](std::uint32_t type, const std::string& bytes, std::uint64_t n) {
    return [=](GgufBuilder& b) { b.tensor("blk.1.ffn_up.scale", {n}, type, bytes); };
  };
  const test::TempFile file(llama(scale(0, floats(1, 0.5f), 1)));
  const Model model = Model::open(file.path());
  EXPECT_EQ(model.layers()[1].ffn_up.scale, 0.5f);
  EXPECT_EQ(model.layers()[0].ffn_up.scale, 1.0f);
  EXPECT_THAT([&] { open(scale(0, floats(1, NAN), 1)); }, bad("tensor 'blk.1.ffn_up.scale' is nan, it must be finite"));
  EXPECT_THAT([&] { open(scale(1, GgufBuilder::number(f32_to_f16(1)), 1)); },
              bad("'blk.1.ffn_up.scale' is F16, it must be F32"));
  EXPECT_THAT([&] { open(scale(0, floats(2), 2)); }, bad("'blk.1.ffn_up.scale' has shape (2), the config asks for (1)"));
}

TEST(ModelParts, NormsAreDense) {
  EXPECT_THAT(
      [] { open([](GgufBuilder& b) { b.tensor("output_norm.weight", {32}, 8, std::string(34, '\0')); }, {"output_norm"}); },
      bad("tensor 'output_norm.weight' is Q8_0, it must be F32, F16 or BF16"));
}

TEST(ModelParts, RopeFrequenciesAreChecked) {
  const auto freqs = [](float value, std::uint64_t n) {
    return [=](GgufBuilder& b) { b.tensor("rope_freqs.weight", {n}, 0, floats(n, value)); };
  };
  const test::TempFile file(llama(freqs(8, 8)));
  EXPECT_EQ(Model::open(file.path()).config().rope_divisors, std::vector<float>(8, 8.0f));
  for (const float value : {0.0f, -1.0f, INFINITY, NAN})
    EXPECT_THAT([&] { open(freqs(value, 8)); }, bad("'rope_freqs.weight' has"));
  EXPECT_THAT([&] { open(freqs(1, 16)); }, bad("'rope_freqs.weight' has shape (16), the config asks for (8)"));
}

TEST(ModelParts, OutputMayBeAMatrixOfItsOwn) {
  const auto output = [](std::uint64_t rows) {
    return [=](GgufBuilder& b) { b.tensor("output.weight", {rows, 32}, 0, floats(rows * 32)); };
  };
  const test::TempFile file(llama(output(8)));
  EXPECT_TRUE(Model::open(file.path()).output().has_value());
  EXPECT_THAT([&] { open(output(9)); }, bad("'output.weight' has shape (9, 32), the config asks for (8, 32)"));
}

TEST(ModelParts, EachTensorIsRequiredInItsShape) {
  for (const std::string name :
       {"token_embd", "output_norm", "blk.1.attn_norm", "blk.1.ffn_norm", "blk.1.attn_q", "blk.1.attn_k", "blk.1.attn_v",
        "blk.1.attn_output", "blk.1.ffn_gate", "blk.1.ffn_up", "blk.1.ffn_down"}) {
    EXPECT_THAT([&] { open(nothing, {name}); }, bad("tensor '" + name + ".weight' is missing"));
    EXPECT_THAT([&] { open([&](GgufBuilder& b) { b.tensor(name + ".weight", {3, 5}, 0, floats(15)); }, {name}); },
                bad("tensor '" + name + ".weight' has shape (3, 5), the config asks for"));
  }
}

}  // namespace
}  // namespace bitnet
