"""Writes tiny random models of other widths, types and architectures than tiny_model's, with the same vocabulary."""
import gguf
import numpy as np
from tiny_model import HEADS, KV_HEADS, LAYERS, add_tokenizer, tokens

I2_S_ID = 36  # which gguf-py does not know
EMBD, FF = 256, 512  # what blocks of 256 weights fit


def i2_s(codes, scale):
    """Codes -1, 0, 1 packed as docs/formats.md draws it."""
    runs = (codes.reshape(-1, 4, 32) + 1).astype(np.uint8)
    packed = runs[:, 0] << 6 | runs[:, 1] << 4 | runs[:, 2] << 2 | runs[:, 3]
    return np.concatenate([packed.reshape(-1), np.array([scale], np.float32).view(np.uint8), np.zeros(28, np.uint8)])


def add_projection(writer, name, random, shape, kind, scale):
    if kind == "dense":
        writer.add_tensor(name, (random.standard_normal(shape) * scale).astype(np.float16))
        return
    codes = random.integers(-1, 2, shape)
    if kind == "I2_S":  # the entry of the table is made by hand
        data = i2_s(codes, scale)
        writer.tensors[-1][name] = gguf.gguf_writer.TensorInfo(shape=shape, dtype=I2_S_ID, nbytes=data.nbytes, tensor=data)
    else:
        writer.add_tensor(name, (codes * scale).astype(np.float16))


def add_weights(writer, n_vocab, seed, embd, ff, kind, scale, sub_norms):
    random = np.random.default_rng(seed)

    def ones(size):
        return np.ones(size, np.float32)

    head = embd // HEADS
    writer.add_tensor("token_embd.weight", (random.standard_normal((n_vocab, embd)) * 0.1).astype(np.float16))
    writer.add_tensor("output_norm.weight", ones(embd))
    for layer in range(LAYERS):
        for name, size in {"attn_norm": embd, "attn_sub_norm": embd, "ffn_norm": embd, "ffn_sub_norm": ff}.items():
            if sub_norms or "sub_norm" not in name:
                writer.add_tensor(f"blk.{layer}.{name}.weight", ones(size))
        for name, shape in {
            "attn_q": (embd, embd), "attn_k": (KV_HEADS * head, embd), "attn_v": (KV_HEADS * head, embd), "attn_output": (embd, embd),
            "ffn_gate": (ff, embd), "ffn_up": (ff, embd), "ffn_down": (embd, ff),
        }.items():
            add_projection(writer, f"blk.{layer}.{name}.weight", random, shape, kind, scale)


# `kind` of the projections: F16 or I2_S with ternary values, "dense" for F16 with any.
def write(path, *, kind="F16", scale=0.05, architecture="bitnet-b1.58", tokenizer=True, seed=1):
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("shaped")
    writer.add_context_length(4096)
    writer.add_embedding_length(EMBD)
    writer.add_feed_forward_length(FF)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    if tokenizer:
        add_tokenizer(writer, chat_template=True)
    add_weights(writer, len(tokens()), seed, EMBD, FF, kind, scale, architecture != "llama")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
