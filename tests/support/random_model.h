// A small random model file: I2_S weights, a byte-level tokenizer of 258 tokens and a chat template.
#pragma once

#include <cmath>
#include <random>

#include "support/gguf_builder.h"

namespace bitnet::test {

struct RandomModel {
  std::string architecture = "bitnet-b1.58";
  std::uint32_t n_layer = 2, n_embd = 128, n_ff = 256, n_head = 4, n_head_kv = 2, n_vocab = 258, n_ctx = 512, seed = 1;
  std::uint32_t window = 0;  // of every second layer of a gemma3 model
  bool input_norms = false;  // for qwen3 and gemma3
  bool tokenizer = true;
  std::string chat_template =
      "{% for m in messages %}{{ m.role }}: {{ m.content }}<end>{% endfor %}{% if add_generation_prompt %}bot: {% endif %}";

  std::string bytes() const;

 private:
  static std::string floats(std::mt19937& random, std::uint64_t n, float centre, float spread) {
    std::string out;
    for (std::uint64_t i = 0; i < n; ++i)
      out += GgufBuilder::number(centre + spread * (static_cast<float>(random()) * 0x1p-31f - 1.0f));
    return out;
  }
  static std::string i2_s(std::mt19937& random, std::uint64_t n, float scale) {
    std::string out;
    for (std::uint64_t i = 0; i < n / 4; ++i) {
      int byte = 0;
      for (int p = 0; p < 4; ++p) byte = byte << 2 | static_cast<int>(random() % 3);
      out += static_cast<char>(byte);
    }
    return out + GgufBuilder::number(scale) + std::string(28, '\0');
  }
};

// Printable ASCII and the like stand for themselves; the other bytes are written as 256 and up (GPT-2's byte alphabet).
inline std::string byte_token(int byte) {
  const auto stands_for_itself = [](int b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
  };
  int code = byte;
  if (!stands_for_itself(byte)) {
    code = 256;
    for (int b = 0; b < byte; ++b) code += !stands_for_itself(b);
  }
  if (code < 128) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 63))};
}

inline std::string RandomModel::bytes() const {
  std::mt19937 random(seed);
  GgufBuilder b;
  const std::string a = architecture + ".";
  b.text("general.architecture", architecture);
  b.text("general.name", "random");
  b.u32(a + "block_count", n_layer), b.u32(a + "embedding_length", n_embd), b.u32(a + "feed_forward_length", n_ff);
  b.u32(a + "context_length", n_ctx), b.u32(a + "attention.head_count", n_head),
      b.u32(a + "attention.head_count_kv", n_head_kv);
  b.f32(a + "attention.layer_norm_rms_epsilon", 1e-5f), b.f32(a + "rope.freq_base", 10000.0f);
  if (window > 0) {
    b.u32(a + "attention.sliding_window", window), b.u32(a + "attention.sliding_window_pattern", 2);
    b.f32(a + "rope.freq_base_swa", 1000.0f);
  }
  if (tokenizer) {
    std::vector<std::string> tokens;
    for (int byte = 0; byte < 256; ++byte) tokens.push_back(byte_token(byte));
    tokens.emplace_back("<end>"), tokens.emplace_back("<begin>");
    std::vector<std::int32_t> kinds(256, 1);
    kinds.insert(kinds.end(), {3, 3});
    b.text("tokenizer.ggml.model", "gpt2"), b.text("tokenizer.ggml.pre", "gpt-2");
    b.texts("tokenizer.ggml.tokens", tokens), b.i32s("tokenizer.ggml.token_type", kinds), b.texts("tokenizer.ggml.merges", {});
    b.u32("tokenizer.ggml.eos_token_id", 256), b.u32("tokenizer.ggml.bos_token_id", 257);
    b.boolean("tokenizer.ggml.add_bos_token", true);
    if (!chat_template.empty()) b.text("tokenizer.chat_template", chat_template);
  }
  const std::uint64_t embd = n_embd, ff = n_ff, kv = n_embd / n_head * n_head_kv;
  const auto matrix = [&](const std::string& name, std::uint64_t rows, std::uint64_t cols) {
    b.tensor(name, {rows, cols}, 36, i2_s(random, rows * cols, 1.2f / std::sqrt(static_cast<float>(cols))));
  };
  const auto norm = [&](const std::string& name, std::uint64_t n) { b.tensor(name, {n}, 0, floats(random, n, 1.0f, 0.2f)); };
  b.tensor("token_embd.weight", {n_vocab, embd}, 0, floats(random, n_vocab * embd, 0.0f, 1.0f));
  norm("output_norm.weight", embd);
  const bool sub_norms = architecture.starts_with("bitnet"), gemma = architecture == "gemma3";
  for (std::uint32_t i = 0; i < n_layer; ++i) {
    const std::string p = "blk." + std::to_string(i) + ".";
    norm(p + "attn_norm.weight", embd), norm(p + "ffn_norm.weight", embd);
    if (sub_norms) norm(p + "attn_sub_norm.weight", embd), norm(p + "ffn_sub_norm.weight", ff);
    if (gemma) norm(p + "post_attention_norm.weight", embd), norm(p + "post_ffw_norm.weight", embd);
    if (gemma || architecture == "qwen3") {
      norm(p + "attn_q_norm.weight", embd / n_head), norm(p + "attn_k_norm.weight", embd / n_head);
    }
    if (input_norms) {
      for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up"})
        norm(p + name + "_norm_in.weight", embd);
      norm(p + "ffn_down_norm_in.weight", ff);
    }
    matrix(p + "attn_q.weight", embd, embd), matrix(p + "attn_k.weight", kv, embd), matrix(p + "attn_v.weight", kv, embd);
    matrix(p + "attn_output.weight", embd, embd);
    matrix(p + "ffn_gate.weight", ff, embd), matrix(p + "ffn_up.weight", ff, embd), matrix(p + "ffn_down.weight", embd, ff);
  }
  return b.bytes();
}

}  // namespace bitnet::test
