// Model: configs and tensors that fit each other are accepted, everything else is refused by name.
#include "models/model.h"

#include <gmock/gmock.h>

#include <fstream>

#include "common/error.h"
#include "support/random_model.h"

namespace bitnet {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Property;

auto refused(ErrorKind kind, const std::string& text) {
  return testing::Throws<Error>(AllOf(Property(&Error::kind, kind), Property(&Error::what, HasSubstr(text))));
}

void open_bytes(const std::string& bytes) {
  const test::TempFile file(bytes);
  Model::open(file.path());
}

// A random model whose bytes are changed at the value behind a key: `width` bytes after the key and its type.
template <class Value>
std::string with_value(const std::string& key, Value value, test::RandomModel model = {.tokenizer = false}) {
  std::string bytes = model.bytes();
  const std::size_t at = bytes.find(key);
  EXPECT_NE(at, std::string::npos) << key;
  bytes.replace(at + key.size() + 4, sizeof value, test::GgufBuilder::number(value));
  return bytes;
}

std::string renamed(const std::string& from, const std::string& to, test::RandomModel model = {.tokenizer = false}) {
  EXPECT_EQ(from.size(), to.size());
  std::string bytes = model.bytes();
  bytes.replace(bytes.find(from), from.size(), to);
  return bytes;
}

TEST(Model, OpensEachArchitectureWithItsArithmetic) {
  for (const Architecture& architecture : architectures()) {
    const test::TempFile file(test::RandomModel{.architecture = std::string(architecture.name)}.bytes());
    const Model model = Model::open(file.path());
    EXPECT_EQ(model.config().architecture, architecture.name);
    const bool relu2 = architecture.name == "bitnet-b1.58" || architecture.name == "bitnet-25";
    const bool gemma = architecture.name == "gemma3";
    EXPECT_EQ(model.config().activation, relu2 ? Activation::relu2 : gemma ? Activation::gelu : Activation::silu);
    EXPECT_EQ(model.config().rope_kind, architecture.name == "llama" ? RopeKind::norm : RopeKind::neox);
    EXPECT_EQ(model.config().sub_norms, architecture.name.starts_with("bitnet"));
    EXPECT_EQ(model.config().qk_norms, gemma || architecture.name == "qwen3");
    EXPECT_EQ(model.config().post_norms, gemma);
    EXPECT_EQ(model.config().embedding_scale, gemma ? std::sqrt(128.0f) : 1.0f);
    EXPECT_EQ(model.config().n_vocab, 258);
    EXPECT_EQ(model.config().head_dim, 32);
    EXPECT_EQ(model.layers().size(), 2u);
    EXPECT_EQ(model.layers()[0].attn_sub_norm.has_value(), architecture.sub_norms);
    EXPECT_EQ(model.layers()[1].attn_k_norm.has_value(), architecture.qk_norms);
    EXPECT_EQ(model.layers()[1].post_ffw_norm.has_value(), architecture.post_norms);
    EXPECT_FALSE(model.output().has_value());
  }
}

TEST(Model, RefusesNumbersOutOfBounds) {
  const auto bad = ErrorKind::bad_model;
  EXPECT_THAT([] { open_bytes(with_value("bitnet-b1.58.attention.head_count", std::uint32_t{0})); },
              refused(bad, "bitnet-b1.58.attention.head_count is 0, allowed are 1 to 4096"));
  EXPECT_THAT([] { open_bytes(with_value("bitnet-b1.58.attention.head_count_kv", std::uint32_t{0})); },
              refused(bad, "head_count_kv is 0"));
  EXPECT_THAT([] { open_bytes(with_value("bitnet-b1.58.attention.head_count_kv", std::uint32_t{3})); },
              refused(bad, "head_count_kv is 3, it must divide the 4 heads"));
  EXPECT_THAT([] { open_bytes(with_value("bitnet-b1.58.block_count", std::uint32_t{0})); }, refused(bad, "block_count is 0"));
  EXPECT_THAT([] { open_bytes(with_value("bitnet-b1.58.block_count", std::uint32_t{5000})); },
              refused(bad, "block_count is 5000, allowed are 1 to 1024"));
  EXPECT_THAT([] { open_bytes(with_value("bitnet-b1.58.embedding_length", std::uint32_t{0x80000000})); },
              refused(bad, "embedding_length is 2147483648"));
  EXPECT_THAT([] { open_bytes(with_value("bitnet-b1.58.context_length", std::uint32_t{0})); },
              refused(bad, "context_length is 0"));
  EXPECT_THAT([] { open_bytes(with_value("bitnet-b1.58.attention.layer_norm_rms_epsilon", NAN)); },
              refused(bad, "layer_norm_rms_epsilon is nan"));
  EXPECT_THAT([] { open_bytes(with_value("bitnet-b1.58.attention.layer_norm_rms_epsilon", 0.0f)); },
              refused(bad, "it must be above 0"));
  EXPECT_THAT([] { open_bytes(with_value("bitnet-b1.58.rope.freq_base", -1.0f)); }, refused(bad, "rope.freq_base is -1"));
  EXPECT_THAT([] { open_bytes(with_value("bitnet-b1.58.attention.layer_norm_rms_epsilon", INFINITY)); },
              refused(bad, "at most 1"));
}

TEST(Model, RefusesWhatIsMissing) {
  const auto bad = ErrorKind::bad_model;
  EXPECT_THAT([] { open_bytes(renamed("general.architecture", "general.architectur_")); },
              refused(bad, "general.architecture is missing"));
  EXPECT_THAT([] { open_bytes(renamed("b1.58.block_count", "b1.58.block_coun_")); },
              refused(bad, "bitnet-b1.58.block_count is missing"));
  EXPECT_THAT([] { open_bytes(renamed("token_embd.weight", "token_embd.weigh_")); },
              refused(bad, "tensor 'token_embd.weight' is missing"));
  EXPECT_THAT([] { open_bytes(renamed("blk.1.ffn_down.weight", "blk.1.ffn_down.weigh_")); },
              refused(bad, "tensor 'blk.1.ffn_down.weight' is missing"));
  EXPECT_THAT([] { open_bytes(renamed("blk.0.attn_sub_norm.weight", "blk.0.attn_sub_norm.weigh_")); },
              refused(bad, "'blk.0.attn_sub_norm.weight' is missing"));
}

TEST(Model, RefusesShapesThatDoNotFit) {
  EXPECT_THAT([] { open_bytes(with_value("bitnet-b1.58.feed_forward_length", std::uint32_t{384})); },
              refused(ErrorKind::bad_model, "has shape (256), the config asks for (384)"));
  EXPECT_THAT(
      [] { open_bytes(with_value("bitnet-b1.58.embedding_length", std::uint32_t{256})); },
      refused(ErrorKind::bad_model, "'token_embd.weight' has shape (258, 128), the config asks for (1 to 16777216, 256)"));
}

TEST(Model, NamesArchitecturesAndFormsItDoesNotKnow) {
  EXPECT_THAT(
      [] { open_bytes(test::RandomModel{.architecture = "mamba", .tokenizer = false}.bytes()); },
      refused(ErrorKind::bad_model, "general.architecture is 'mamba', supported are bitnet-b1.58, bitnet-25, bitnet, llama"));
  EXPECT_THAT([] { Model::open("model.safetensors"); }, refused(ErrorKind::not_found, "model.safetensors: cannot open"));
  EXPECT_THAT([] { Model::open("/nonexistent.gguf"); }, refused(ErrorKind::not_found, "/nonexistent.gguf"));
}

TEST(Model, OpensTheGoldenFiles) {
  const std::string folder = BITNET_SOURCE_DIR "/../shared/oracle/vectors/";
  if (!std::ifstream(folder + "mini/mini.i2_s.gguf")) GTEST_SKIP() << "no golden models in " << folder;
  for (const std::string name :
       {"gqa4/gqa4.i2_s", "gqa4/gqa4.tq1_0", "gqa4/gqa4.tq2_0", "hd96/hd96.i2_s", "mini/mini.i2_s", "mini/mini.f16"}) {
    const Model model = Model::open(folder + name + ".gguf");
    EXPECT_EQ(model.config().activation, Activation::relu2);
    EXPECT_EQ(model.config().head_dim, name.starts_with("hd96") ? 96 : 32) << name;
  }
}

}  // namespace
}  // namespace bitnet
