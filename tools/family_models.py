"""One tiny random model per family, the same from one seed: as arrays for other implementations, and as the GGUF file bitnet reads.

The sizes are small, the shapes awkward where the family's are: heads whose length is not embedding / heads, a feed-forward that is
no multiple of 128. tests/golden/families/ holds what `transformers` computes for them (tools/make_family_vectors.py). Needs numpy.
"""
import functools
import zlib

import numpy as np
from gguf_file import Tensor, i2_s_tail, pack_i2_s, write_gguf

QKV = ("attn_q", "attn_k", "attn_v")
PROJECTIONS = (*QKV, "attn_output", "ffn_gate", "ffn_up", "ffn_down")

BASE = dict(layers=2, embd=128, ff=256, heads=4, kv_heads=2, head_dim=32, vocab=64, ctx=512, eps=1e-5, theta=10000.0, tied=True,
            weights="I2_S", sub_norms=False, qk_norms=False, post_norms=False, input_norms=False, window=0, keys=(),
            ternary_tables=False)
FAMILIES = {
    # Microsoft's 2B-4T: squared ReLU, sub-norms.
    "bitnet_2b": dict(arch="bitnet-b1.58", sub_norms=True, theta=500000.0),
    # 1bitLLM 3B: SiLU, sub-norms, heads of 100, and matrices of -1, 0, 1 with their scale in a tensor beside them.
    "1bitllm_3b": dict(arch="bitnet", sub_norms=True, embd=200, ff=270, heads=2, kv_heads=2, head_dim=100, weights="F16+scale"),
    # Llama3-8B-1.58, Falcon3-1.58, Falcon-E: ternary Llama with int8 activations, queries and keys permuted for NORM rope.
    "llama_ternary": dict(arch="llama", tied=False, theta=500000.0),
    # TriLM: as its makers unpack it, some scales to a matrix, so that activations stay float.
    "trilm": dict(arch="llama", weights="shards", heads=2, kv_heads=2, head_dim=64),
    # Qwen3 with heads of another length than embedding / heads, and rows that are no multiple of 128.
    "qwen3": dict(arch="qwen3", qk_norms=True, heads=4, kv_heads=2, head_dim=48, tied=False, weights="groups", eps=1e-6, theta=1e6),
    # Ternary-Bonsai: Qwen3 with a scale for every 128 weights, embedding and head included, and float activations.
    "bonsai": dict(arch="qwen3", qk_norms=True, heads=4, kv_heads=2, head_dim=64, tied=False, weights="groups", ternary_tables=True,
                   eps=1e-6, theta=1e6),
    # BitNet-embedding-0.6B.
    "bitnet_embedding_qwen3": dict(arch="qwen3", qk_norms=True, input_norms=True, heads=4, kv_heads=2, head_dim=64, eps=1e-6, theta=1e6,
                                   keys=(("pooling_type", 3),)),
    # Gemma 3: windows of 9 positions on two layers of three, a local RoPE base, a linear factor on the global one.
    "gemma3": dict(arch="gemma3", layers=4, qk_norms=True, post_norms=True, heads=2, kv_heads=1, head_dim=96, weights="groups", eps=1e-6,
                   theta=1e6, window=9, keys=(("attention.sliding_window", 9), ("attention.sliding_window_pattern", 3),
                                              ("rope.freq_base_swa", 10000.0), ("rope.scaling.type", "linear"),
                                              ("rope.scaling.factor", 8.0))),
    # BitNet-embedding-270M, as published: Gemma 3 without keys for windows.
    "bitnet_embedding_gemma3": dict(arch="gemma3", qk_norms=True, post_norms=True, input_norms=True, heads=2, kv_heads=1, head_dim=96,
                                    eps=1e-6, keys=(("pooling_type", 1),)),
}


class Ternary:
    """weight = codes * scales, codes -1, 0, 1 (rows, columns); scales broadcast to it. One scale: int8 activations."""

    def __init__(self, codes, scales):
        self.codes, self.scales = codes, scales

    def dense(self):
        return (self.codes * self.scales).astype(np.float32)


def family(name):
    return BASE | FAMILIES[name]


def norms_of(m):
    """Names and sizes of a layer's norms."""
    q = m["heads"] * m["head_dim"]
    yield from {"attn_norm": m["embd"], "ffn_norm": m["embd"]}.items()
    if m["sub_norms"]:
        yield from {"attn_sub_norm": q, "ffn_sub_norm": m["ff"]}.items()
    if m["qk_norms"]:
        yield from {"attn_q_norm": m["head_dim"], "attn_k_norm": m["head_dim"]}.items()
    if m["post_norms"]:
        yield from {"post_attention_norm": m["embd"], "post_ffw_norm": m["embd"]}.items()
    if m["input_norms"]:
        yield from {f"{part}_norm_in": shape[1] for part, shape in projection_shapes(m).items()}.items()


def projection_shapes(m):
    q, kv = m["heads"] * m["head_dim"], m["kv_heads"] * m["head_dim"]
    return {"attn_q": (q, m["embd"]), "attn_k": (kv, m["embd"]), "attn_v": (kv, m["embd"]), "attn_output": (m["embd"], q),
            "ffn_gate": (m["ff"], m["embd"]), "ffn_up": (m["ff"], m["embd"]), "ffn_down": (m["embd"], m["ff"])}


def random_ternary(random, shape, kind):
    rows, cols = shape
    codes = random.integers(-1, 2, shape).astype(np.float32)
    size = 1.2 / np.sqrt(cols)
    if kind in ("I2_S", "F16+scale"):
        return Ternary(codes, np.float32(size * random.uniform(0.9, 1.1)))
    parts = (2, 1) if kind == "shards" else (rows, -(-cols // 128))
    scales = np.float16(size * random.uniform(0.7, 1.3, parts)).astype(np.float32)
    by_row = np.repeat(scales, -(-rows // parts[0]), 0)[:rows]
    return Ternary(codes, np.repeat(by_row, 128, 1)[:, :cols] if kind == "groups" else by_row)


def weights_of(name):
    """The model's arrays by GGUF names, queries and keys not permuted. Each is drawn from its name alone."""
    m = family(name)

    def draw(tensor):
        return np.random.default_rng([20260, zlib.crc32(f"{name}/{tensor}".encode())])

    def norm(tensor, size):
        return (1 + 0.3 * draw(tensor).standard_normal(size)).astype(np.float32)

    def table(tensor, deviation):
        shape = (m["vocab"], m["embd"])
        if m["ternary_tables"]:
            return random_ternary(draw(tensor), shape, "groups")
        return (draw(tensor).standard_normal(shape) * deviation).astype(np.float16).astype(np.float32)

    arrays = {"token_embd": table("token_embd", 0.5), "output_norm": norm("output_norm", m["embd"])}
    if not m["tied"]:
        arrays["output"] = table("output", 0.3)
    for layer in range(m["layers"]):
        for part, size in norms_of(m):
            arrays[f"blk.{layer}.{part}"] = norm(f"blk.{layer}.{part}", size)
        for part, shape in projection_shapes(m).items():
            arrays[f"blk.{layer}.{part}"] = random_ternary(draw(f"blk.{layer}.{part}"), shape, m["weights"])
    return arrays


# ---- the GGUF file

def permuted(matrix, heads):
    """Rows of queries or keys in the order that NORM rope wants: pairs that NEOX has half a head apart stand together."""
    rows, cols = matrix.shape
    return matrix.reshape(heads, 2, rows // heads // 2, cols).swapaxes(1, 2).reshape(rows, cols)


def stored(name, kind, values):
    """One tensor whose bytes are `values` as they are."""
    return Tensor(name, values.shape, kind, functools.partial(iter, [values.astype({"F32": np.float32, "F16": np.float16}[kind])]))


def ternary_tensors(name, w, kind, encoder):
    if encoder and kind == "groups":
        encoded_kind, data = encoder(w)
        yield Tensor(name + ".weight", w.codes.shape, encoded_kind, functools.partial(iter, [np.frombuffer(data, np.uint8)]))
    elif kind == "I2_S":
        yield Tensor(name + ".weight", w.codes.shape, "I2_S", functools.partial(iter, [pack_i2_s(w.codes), i2_s_tail(w.scales)]))
    elif kind == "F16+scale":
        yield stored(name + ".weight", "F16", w.codes)
        yield stored(name + ".scale", "F32", np.array([w.scales], np.float32))
    else:
        yield stored(name + ".weight", "F16", w.dense())


def tensors_of(name, encoder):
    m = family(name)
    for tensor, values in weights_of(name).items():
        part = tensor.rsplit(".", 1)[-1]
        if isinstance(values, Ternary):
            if m["arch"] == "llama" and part in ("attn_q", "attn_k"):
                heads = m["heads" if part == "attn_q" else "kv_heads"]
                scales = values.scales if np.ndim(values.scales) == 0 else np.broadcast_to(values.scales, values.codes.shape)
                values = Ternary(permuted(values.codes, heads), scales if np.ndim(scales) == 0 else permuted(scales, heads))
            yield from ternary_tensors(tensor, values, m["weights"], encoder)
        else:
            yield stored(tensor + ".weight", "F32" if values.ndim == 1 else "F16", values)


def write_family(name, path, encoder=None):
    """`encoder` turns a Ternary with a scale for every 128 weights into (type, bytes); without it is stored as F16."""
    m = family(name)
    arch = m["arch"]
    pairs = {"vocab_size": m["vocab"], "context_length": m["ctx"], "embedding_length": m["embd"], "block_count": m["layers"],
             "feed_forward_length": m["ff"], "attention.head_count": m["heads"], "attention.head_count_kv": m["kv_heads"],
             "attention.key_length": m["head_dim"], "attention.value_length": m["head_dim"], "rope.dimension_count": m["head_dim"],
             "attention.layer_norm_rms_epsilon": m["eps"], "rope.freq_base": m["theta"]} | dict(m["keys"])
    metadata = [("general.architecture", arch), ("general.name", name)] + [(f"{arch}.{key}", value) for key, value in pairs.items()]
    return write_gguf(path, list(tensors_of(name, encoder)), metadata)
