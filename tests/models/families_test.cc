// Families: the keys and tensors of qwen3 and gemma3 give the config they should, or are refused by name.
#include <gmock/gmock.h>

#include <functional>
#include <set>

#include "common/error.h"
#include "models/model.h"
#include "support/random_model.h"

namespace bitnet {
namespace {

using test::GgufBuilder;
using testing::AllOf;
using testing::HasSubstr;
using testing::Property;

using Change = std::function<void(GgufBuilder&)>;

std::string ones(std::size_t n) {
  std::string out;
  for (std::size_t i = 0; i < n; ++i) out += GgufBuilder::number(1.0f);
  return out;
}

struct Parts {
  std::string architecture = "gemma3";
  std::uint32_t n_layer = 4;
  bool input_norms = false;
  std::set<std::string> without = {};
  std::uint32_t head_dim = 16;
};

// 32 wide, 2 heads over 1 of keys and values.
ModelConfig config(const Parts& parts, const Change& add = [](GgufBuilder&) {}) {
  GgufBuilder b;
  const std::string a = parts.architecture + ".";
  b.text("general.architecture", parts.architecture);
  b.u32(a + "block_count", parts.n_layer), b.u32(a + "embedding_length", 32), b.u32(a + "feed_forward_length", 64);
  b.u32(a + "context_length", 64), b.u32(a + "attention.head_count", 2), b.u32(a + "attention.head_count_kv", 1);
  b.f32(a + "attention.layer_norm_rms_epsilon", 1e-6f), b.f32(a + "rope.freq_base", 1e6f);
  if (parts.head_dim != 16) b.u32(a + "attention.key_length", parts.head_dim);
  add(b);
  const std::uint64_t dim = parts.head_dim;
  const auto tensor = [&](const std::string& name, std::vector<std::uint64_t> dims) {
    if (!parts.without.contains(name)) b.tensor(name + ".weight", dims, 0, ones(dims[0] * (dims.size() > 1 ? dims[1] : 1)));
  };
  tensor("token_embd", {8, 32}), tensor("output_norm", {32});
  for (std::uint32_t i = 0; i < parts.n_layer; ++i) {
    const std::string p = "blk." + std::to_string(i) + ".";
    tensor(p + "attn_norm", {32}), tensor(p + "ffn_norm", {32}), tensor(p + "attn_q_norm", {dim}),
        tensor(p + "attn_k_norm", {dim});
    if (parts.architecture == "gemma3") tensor(p + "post_attention_norm", {32}), tensor(p + "post_ffw_norm", {32});
    tensor(p + "attn_q", {2 * dim, 32}), tensor(p + "attn_k", {dim, 32}), tensor(p + "attn_v", {dim, 32});
    tensor(p + "attn_output", {32, 2 * dim});
    tensor(p + "ffn_gate", {64, 32}), tensor(p + "ffn_up", {64, 32}), tensor(p + "ffn_down", {32, 64});
    if (!parts.input_norms) continue;
    for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up"})
      tensor(p + name + "_norm_in", {32});
    tensor(p + "ffn_down_norm_in", {64});
  }
  const test::TempFile file(b.bytes());
  return Model::open(file.path()).config();
}

auto refused(ErrorKind kind, const std::string& text) {
  return testing::Throws<Error>(AllOf(Property(&Error::kind, kind), Property(&Error::what, HasSubstr(text))));
}
auto bad(const std::string& text) { return refused(ErrorKind::bad_model, text); }

Change number(const std::string& key, std::uint32_t value) {
  return [=](GgufBuilder& b) { b.u32(key, value); };
}

TEST(Families, WithoutAWindowEveryLayerSeesAll) {
  const ModelConfig c = config({});
  EXPECT_EQ(c.window, 0);
  EXPECT_FALSE(c.has_window(0));
  EXPECT_EQ(config({}, number("gemma3.attention.sliding_window", 0)).window, 0);
}

TEST(Families, FiveLayersOfSixHaveAWindowUnlessAPatternSaysOtherwise) {
  const auto windowed = [](const Change& pattern) {
    return config({.n_layer = 7}, [&](GgufBuilder& b) { b.u32("gemma3.attention.sliding_window", 16), pattern(b); }).windowed;
  };
  using Layers = std::vector<bool>;
  EXPECT_EQ(windowed([](GgufBuilder&) {}), (Layers{true, true, true, true, true, false, true}));
  EXPECT_EQ(windowed(number("gemma3.attention.sliding_window_pattern", 3)),
            (Layers{true, true, false, true, true, false, true}));
  EXPECT_EQ(windowed(number("gemma3.attention.sliding_window_pattern", 1)), Layers(7, false));
  EXPECT_EQ(windowed(number("gemma3.attention.sliding_window_pattern", 0)), Layers(7, true));
  const std::vector<std::int32_t> listed = {0, 1, 0, 0, 1, 0, 0};
  EXPECT_EQ(windowed([&](GgufBuilder& b) { b.i32s("gemma3.attention.sliding_window_pattern", listed); }),
            (Layers{false, true, false, false, true, false, false}));
  const auto booleans = [](const std::string& bytes) {
    return [=](GgufBuilder& b) {
      b.entry("gemma3.attention.sliding_window_pattern", 9,
              GgufBuilder::number<std::uint32_t>(7) + GgufBuilder::number<std::uint64_t>(bytes.size()) + bytes);
    };
  };
  EXPECT_EQ(windowed(booleans(std::string("\1\0\0\0\0\0\1", 7))), (Layers{true, false, false, false, false, false, true}));
  EXPECT_THAT([&] { windowed(booleans("\1\1")); }, bad("sliding_window_pattern has 2 entries for 7 layers"));
  EXPECT_THAT([&] { windowed(number("gemma3.attention.sliding_window_pattern", 5000)); },
              bad("sliding_window_pattern is 5000, allowed are 0 to 1024"));
}

TEST(Families, LayersWithAWindowHaveARopeBaseOfTheirOwn) {
  const auto base = [](const Change& change) {
    return config({}, [&](GgufBuilder& b) { b.u32("gemma3.attention.sliding_window", 16), change(b); }).window_rope_theta;
  };
  EXPECT_EQ(base([](GgufBuilder&) {}), 10000.0f);
  EXPECT_EQ(base([](GgufBuilder& b) { b.f32("gemma3.rope.freq_base_swa", 500.0f); }), 500.0f);
  EXPECT_THAT([&] { base([](GgufBuilder& b) { b.f32("gemma3.rope.freq_base_swa", NAN); }); }, bad("rope.freq_base_swa is nan"));
}

TEST(Families, WindowsAreNotIgnoredWhereAFamilyHasNone) {
  EXPECT_THAT([] { config({.architecture = "qwen3"}, number("qwen3.attention.sliding_window", 16)); },
              bad("qwen3.attention.sliding_window is 16, only 0 and 64 (context_length) or more"));
  EXPECT_NO_THROW(config({.architecture = "qwen3"}, number("qwen3.attention.sliding_window", 64)));
  EXPECT_THAT([] { config({}, number("gemma3.attention.sliding_window", 0xffffffff)); },
              bad("sliding_window is 4294967295, allowed are 0 to"));
}

TEST(Families, Gemma27BScalesScoresByItsWidth) {
  EXPECT_EQ(config({.head_dim = 4}).attention_scale, 0.5f);
  EXPECT_EQ(config({.n_layer = 62, .head_dim = 4}).attention_scale, 0.25f);
  EXPECT_EQ(config({.architecture = "qwen3", .n_layer = 62, .head_dim = 4}).attention_scale, 0.5f);
}

TEST(Families, NormsOfEachFamilyAreRequired) {
  for (const std::string name : {"blk.3.attn_q_norm", "blk.3.attn_k_norm", "blk.3.post_attention_norm", "blk.3.post_ffw_norm"})
    EXPECT_THAT([&] { config({.without = {name}}); }, bad("tensor '" + name + ".weight' is missing"));
  EXPECT_TRUE(config({.input_norms = true}).input_norms);
  EXPECT_FALSE(config({.architecture = "qwen3"}).input_norms);
  EXPECT_THAT([] { config({.architecture = "qwen3", .input_norms = true, .without = {"blk.2.ffn_down_norm_in"}}); },
              bad("tensor 'blk.2.ffn_down_norm_in.weight' is missing"));
  EXPECT_THAT([] { config({.architecture = "qwen3", .input_norms = true, .without = {"blk.0.attn_q_norm_in"}}); },
              refused(ErrorKind::unsupported, "changes the result"));
}

TEST(Families, PartsOfOtherFamiliesAreNotIgnored) {
  const auto with = [](const std::string& architecture, const std::string& name) {
    return [=] { config({.architecture = architecture}, [&](GgufBuilder& b) { b.tensor(name, {32}, 0, ones(32)); }); };
  };
  EXPECT_THAT(with("qwen3", "blk.0.post_attention_norm.weight"), refused(ErrorKind::unsupported, "changes the result"));
  EXPECT_THAT(with("qwen3", "blk.0.attn_q.bias"), refused(ErrorKind::unsupported, "changes the result"));
  EXPECT_THAT(with("gemma3", "blk.0.attn_sub_norm.weight"), refused(ErrorKind::unsupported, "changes the result"));
  EXPECT_THAT(with("qwen3", "cls.output.weight"), refused(ErrorKind::unsupported, "changes the result"));
  EXPECT_THAT(with("gemma3", "dense_2.weight"), refused(ErrorKind::unsupported, "changes the result"));
}

TEST(Families, PoolingIsReadOrRefused) {
  EXPECT_EQ(config({}).pooling, Pooling::none);
  EXPECT_EQ(config({}, number("gemma3.pooling_type", 1)).pooling, Pooling::mean);
  EXPECT_EQ(config({}, number("gemma3.pooling_type", 2)).pooling, Pooling::cls);
  EXPECT_EQ(config({}, number("gemma3.pooling_type", 3)).pooling, Pooling::last);
  EXPECT_THAT([] { config({}, number("gemma3.pooling_type", 4)); }, bad("pooling_type is 4 (rank), supported are 0 to 3"));
  EXPECT_THAT([] { config({}, number("gemma3.pooling_type", 5)); }, bad("pooling_type is 5, allowed are 0 to 4"));
  EXPECT_THAT([] { config({}, [](GgufBuilder& b) { b.boolean("gemma3.attention.causal", false); }); },
              bad("attention.causal is false, only causal models are supported"));
}

TEST(Families, TransformsOfActivationsAreNotIgnored) {
  EXPECT_THAT([] { config({.architecture = "qwen3"}, [](GgufBuilder& b) { b.u32("prism.hadamard.size", 128); }); },
              refused(ErrorKind::unsupported, "prism.hadamard.size asks for a transform"));
}

}  // namespace
}  // namespace bitnet
